"""Bundle directories that are either finished or not there."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..zoo.errors import InputError
from .proof import ProofError


@contextmanager
def finished_directory(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Gives an empty directory beside `path`, which becomes `path` when the block ends.

    A block that raises leaves `path` as it was. After a `ProofError` its directory is kept as `<path>.failed`, after
    any other error it is removed.

    Raises:
        InputError: `path` is in the way (without `overwrite`, or because it is no bundle), or cannot be written.
    """
    _check_free(path, overwrite)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error
    try:
        yield folder
        folder.chmod(0o755)  # mkdtemp makes it private
        shutil.rmtree(path, ignore_errors=True)
        os.rename(folder, path)
    except ProofError as error:
        failed = path.with_name(f"{path.name}.failed")
        shutil.rmtree(failed, ignore_errors=True)
        os.rename(folder, failed)
        raise ProofError(f"{error} What was measured is in {failed}.") from error
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise InputError(f"{path} cannot be written: {error.strerror or error}.") from error
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _check_free(path: Path, overwrite: bool) -> None:
    if path.is_dir():
        if any(path.iterdir()) and not (overwrite and (path / "manifest.json").is_file()):
            advice = (
                "it is no bundle, so it is not overwritten" if overwrite else "overwrite it or name another directory"
            )
            raise InputError(f"output directory {path} is not empty; {advice}.")
    elif path.exists():
        raise InputError(f"output directory {path} is a file.")
