"""Directories of bundles, each complete or not there."""

import os
import shutil
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...core.atomic_files import UNFINISHED, atomic_directory, remove_abandoned
from ...core.errors import InputError, first_line, report_write_errors
from ...core.file_lock import hold_lock
from .errors import ConversionError, ProofError
from .manifest import Manifest


@contextmanager
def finished_directory(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield an empty directory beside `path`, which becomes `path` when the block ends.

    A block that raises leaves `path` as it was; one that ends removes what an earlier failed one left. After a
    `ProofError` its directory is kept as `<path>.failed`, after any other error it is removed; the output of a
    converter that failed is kept as `<path>.failed.log`. What killed exports have left beside `path` is removed first.

    Raises:
        InputError: `path` is not free (it is not empty and `overwrite` is false, or it is no bundle), another process
            is writing it, or it cannot be written.
    """
    path = path.resolve()  # the folder that "." and links refer to is replaced
    with _lock(path), report_write_errors(str(path)):
        remove_abandoned(path.parent)
        check_free(path, overwrite=overwrite)
        try:
            with atomic_directory(path) as folder:
                try:
                    yield folder
                except ProofError as error:
                    failed = _failed(path)
                    shutil.rmtree(failed, ignore_errors=True)
                    os.rename(folder, failed)
                    raise ProofError(f"{error} What was measured is in {failed}.") from error
        except ConversionError as error:
            log = _failure_log(path)
            log.write_text("".join(traceback.format_exception(error.__cause__)), encoding="utf-8")
            raise ConversionError(f"{error} The converter's output is in {log}.") from error.__cause__
        _forget_failure(path)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Keep other exports from `path` until the block ends or this process does."""
    with report_write_errors(str(path)):
        path.parent.mkdir(parents=True, exist_ok=True)
    lock_file = path.with_name(f"{UNFINISHED}{path.name}.lock")
    with hold_lock(lock_file, what=str(path), busy=f"{path} is being written by another export"):
        yield


@contextmanager
def converting(what: str) -> Iterator[None]:
    """Convert what another library raises to a `ConversionError` of `what`, such as "lenet5 as tflite-int8"."""
    try:
        yield
    except (InputError, OSError):
        raise
    except Exception as error:
        raise ConversionError(f"{what} could not be made: the converter reports {first_line(error)!r}.") from error


def check_free(path: Path, *, overwrite: bool) -> None:
    """Raise `InputError` if `path` is not free; with `overwrite` there may be a bundle, and nothing else."""
    path = path.resolve()
    if path.is_dir():
        if any(path.iterdir()) and not (overwrite and _is_bundle(path)):
            advice = (
                "it is no bundle, so it is not overwritten" if overwrite else "overwrite it or name another directory"
            )
            raise InputError(f"output directory {path} is not empty; {advice}.")
    elif path.exists():
        raise InputError(f"output directory {path} is a file.")
    failed = _failed(path)
    if failed.exists() and not _is_bundle(failed):
        raise InputError(f"{failed} is not a bundle: a bundle that fails validation is kept under that name.")


def _forget_failure(path: Path) -> None:
    """Remove what an earlier export that failed has left."""
    shutil.rmtree(_failed(path), ignore_errors=True)
    _failure_log(path).unlink(missing_ok=True)


def _failed(path: Path) -> Path:
    return path.with_name(f"{path.name}.failed")


def _failure_log(path: Path) -> Path:
    return path.with_name(f"{path.name}.failed.log")


def _is_bundle(path: Path) -> bool:
    try:
        Manifest.load(path / "manifest.json")
    except InputError:
        return False
    return True
