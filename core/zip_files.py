"""Zip archives of strangers, whose parts can expand to a thousand times their size."""

import zipfile
from typing import Any

from .documents import parse_json
from .errors import InputError, shorten
from .limits import MODEL_BYTES, MODEL_PARTS, TEXT_BYTES

MOST_EXPANSION = 500
"""Size of a part that was written by a model, over its compressed size: nothing but zeros comes to 1,030."""
SMALL = 2**24
"""Bytes that a part may have in any case."""


def check_archive(archive: zipfile.ZipFile) -> None:
    """Check what an archive says of its parts; reading one returns no more than that.

    Raises:
        InputError: Its parts are too many, too large together or hardly more than zeros, or two have the same name.
    """
    parts = archive.infolist()
    MODEL_PARTS.check(len(parts), "its archive")
    MODEL_BYTES.check(sum(part.file_size for part in parts), "its archive, expanded,")
    names = set[str]()
    for part in parts:
        if part.file_size > SMALL + MOST_EXPANSION * part.compress_size:
            raise InputError(
                f"{shorten(part.filename)!r} in its archive has {part.file_size:,} bytes in {part.compress_size:,} "
                f"compressed ones; {MOST_EXPANSION} times as many are allowed."
            )
        if part.filename in names:
            raise InputError(f"its archive has two parts {shorten(part.filename)!r}.")
        names.add(part.filename)


def read_json_part(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    """Return the JSON object in a file of an archive.

    Raises:
        InputError: It is not there, too large, or no JSON object.
    """
    if name not in archive.namelist():
        raise InputError(f"its archive has no {name}.")
    TEXT_BYTES.check(archive.getinfo(name).file_size, f"its {name}")
    content = parse_json(archive.read(name))
    if not isinstance(content, dict):
        raise InputError(f"its {name} is no JSON object.")
    return content
