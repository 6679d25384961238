"""What commands have in common: options that go together, as a dataclass with a field for each, and a run directory."""

import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, get_type_hints

from ..core.atomic_files import UNFINISHED
from ..core.errors import InputError
from ..core.work_directory import lend_directory
from .options import (
    AllowCode,
    Changes,
    Extend,
    FolderLayout,
    Ignore,
    Overwrite,
    RecipeData,
    RecipeFile,
    Resume,
    SampleRate,
    SignalLength,
    SkipUnreadable,
)


@dataclass(frozen=True)
class DataReading:
    """How the images of a dataset are read."""

    layout: FolderLayout = None
    ignore: Ignore = None
    skip_unreadable: SkipUnreadable = False
    length: SignalLength = None
    sample_rate: SampleRate = None


@dataclass(frozen=True)
class TrainingSetup:
    """The dataset and the recipe of a training."""

    data: RecipeData = None
    recipe: RecipeFile = None
    changes: Changes = None
    allow_code: AllowCode = False


@dataclass(frozen=True)
class RunControl:
    """What happens to an earlier run in the same directory; `vars` of it are arguments of the functions that train."""

    resume: Resume = False
    overwrite: Overwrite = False


@dataclass(frozen=True)
class ExtendableRun(RunControl):
    """The same for runs that can go on to more epochs."""

    extend: Extend = False


def with_option_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command with an option for each field of the dataclasses that are types of its parameters."""
    parameters = signature(command).parameters
    types = get_type_hints(command, include_extras=True)
    groups = {name: types[name] for name in parameters if is_dataclass(types[name])}

    @wraps(command)
    def expanded(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{field.name: values.pop(field.name) for field in fields(group)})
        command(**values)

    options: list[Parameter] = []
    for name, parameter in parameters.items():
        if name in groups:
            hints = get_type_hints(groups[name], include_extras=True)
            options += [_parameter(field, hints[field.name]) for field in fields(groups[name])]
        else:
            options.append(parameter.replace(kind=Parameter.KEYWORD_ONLY, annotation=types[name]))
    expanded.__signature__ = signature(command).replace(parameters=options)  # type: ignore[attr-defined]
    expanded.__annotations__ = {option.name: option.annotation for option in options}
    return expanded


def with_own_directory(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that has its `run_dir`, if it has one, for itself from before it loads anything to its end."""
    if "run_dir" not in signature(command).parameters:
        return command

    @wraps(command)
    def alone(**values: Any) -> None:
        directory = values["run_dir"]
        if directory is not None:
            _check_unused(directory, values["run"])
        with nullcontext() if directory is None else lend_directory(directory):
            command(**values)

    return alone


def _check_unused(directory: Path, run: RunControl) -> None:
    """Raise InputError where the directory holds something and no option says what to do with it.

    Jobs look closer, once TensorFlow is imported: one that had no time to save anything is replaced.
    """
    if any(vars(run).values()) or not directory.is_dir():
        return
    names = [name for name in os.listdir(directory) if not name.startswith(UNFINISHED)]
    has_job = any(name.startswith("pocketzoo-") for name in names)
    if names and not (has_job and not any(name.startswith(("checkpoint-", "best.")) for name in names)):
        raise InputError(
            f"run directory {directory} is not empty; resume the run, overwrite it, or name another directory."
        )


def _parameter(field: "Field[Any]", annotation: Any) -> Parameter:
    default = Parameter.empty if field.default is MISSING else field.default
    return Parameter(field.name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
