"""Bundle directories that are either finished or not there."""

import os
import shutil
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ...core.atomic_files import UNFINISHED
from ...core.errors import InputError, first_line
from ..validation.comparison import ProofError
from .manifest import Manifest


class ConversionError(RuntimeError):
    """A converter failed; the message says where to read what it said."""


@contextmanager
def finished_directory(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Gives an empty directory beside `path`, which becomes `path` when the block ends.

    A block that raises leaves `path` as it was; one that ends removes what an earlier one left. After a
    `ProofError` its directory is kept as `<path>.failed`, after any other error it is removed; what is known of a
    `ConversionError` is kept as `<path>.failed.log`.

    Raises:
        InputError: `path` is in the way (without `overwrite`, or because it is no bundle), or another process is
            writing it, or it cannot be written.
    """
    path = path.resolve()  # "." and links stand for what they name
    with _alone(path):
        check_free(path, overwrite=overwrite)
        try:
            folder = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=path.parent))
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror}.") from error
        try:
            yield folder
            folder.chmod(0o755)  # mkdtemp makes it private
            _replace(path, folder)
            _forget_failure(path)
        except ProofError as error:
            failed = _failed(path)
            shutil.rmtree(failed, ignore_errors=True)
            os.rename(folder, failed)
            raise ProofError(f"{error} What was measured is in {failed}.") from error
        except ConversionError as error:
            shutil.rmtree(folder, ignore_errors=True)
            log = _failure_log(path)
            log.write_text("".join(traceback.format_exception(error.__cause__)), encoding="utf-8")
            raise ConversionError(f"{error} All that it said is in {log}.") from error.__cause__
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise InputError(f"{path} cannot be written: {error.strerror or error}.") from error
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keeps other exports away from `path`, by a lock that ends with this process."""
    lock = FileLock(path.with_name(f"{UNFINISHED}{path.name}.lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout as error:
        raise InputError(f"{path} is being written by another export.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error
    try:
        yield
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)  # while it is held: nobody else can be in the file that goes
        lock.release()


@contextmanager
def converting(what: str) -> Iterator[None]:
    """Says of what another library raises that `what` could not be made."""
    try:
        yield
    except (InputError, OSError):
        raise
    except Exception as error:
        raise ConversionError(f"{what} could not be made: the converter says {first_line(error)!r}.") from error


def _replace(path: Path, folder: Path) -> None:
    """Puts `folder` where `path` is; an old bundle there goes only once the new one stands."""
    old = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=path.parent)) / path.name
    try:
        if path.exists():
            os.rename(path, old)
        os.rename(folder, path)
    except OSError:
        if old.exists():
            os.rename(old, path)
        raise
    finally:
        shutil.rmtree(old.parent)


def check_free(path: Path, *, overwrite: bool) -> None:
    """Raises InputError where `path` is in use; with `overwrite` a bundle may be there, and nothing else."""
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
        raise InputError(f"{failed} is in the way: what fails its proof is kept under that name.")


def _forget_failure(path: Path) -> None:
    """Removes what an earlier export left that failed, now that one has not."""
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
