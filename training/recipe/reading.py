"""Sections in YAML files."""

from pathlib import Path
from typing import Any

import yaml

from ...core.errors import InputError


def read_fields(path: str | Path, what: str) -> dict[str, Any]:
    """The `field: value` lines of a YAML file that is to hold a `what`, such as a recipe.

    Raises:
        InputError: There is no such file, or it is no YAML mapping.
    """
    try:
        fields = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path} cannot be read as a {what}: {error}.") from error
    if not isinstance(fields, dict) or not all(isinstance(name, str) for name in fields):
        raise InputError(f"{path} is not a {what}: it takes `field: value` lines.")
    return fields
