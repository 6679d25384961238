"""Bundle directories that are either finished or not there."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..zoo.atomic import UNFINISHED
from ..zoo.errors import InputError
from .manifest import Manifest
from .proof import ProofError


@contextmanager
def finished_directory(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Gives an empty directory beside `path`, which becomes `path` when the block ends.

    A block that raises leaves `path` as it was. After a `ProofError` its directory is kept as `<path>.failed`, after
    any other error it is removed.

    Raises:
        InputError: `path` is in the way (without `overwrite`, or because it is no bundle), or cannot be written.
    """
    path = path.resolve()  # "." and links stand for what they name
    check_free(path, overwrite=overwrite)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=path.parent))
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error
    try:
        yield folder
        folder.chmod(0o755)  # mkdtemp makes it private
        _replace(path, folder)
    except ProofError as error:
        failed = _failed(path)
        shutil.rmtree(failed, ignore_errors=True)
        os.rename(folder, failed)
        raise ProofError(f"{error} What was measured is in {failed}.") from error
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise InputError(f"{path} cannot be written: {error.strerror or error}.") from error
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


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


def _failed(path: Path) -> Path:
    return path.with_name(f"{path.name}.failed")


def _is_bundle(path: Path) -> bool:
    try:
        Manifest.load(path / "manifest.json")
    except InputError:
        return False
    return True
