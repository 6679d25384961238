"""Files and directories that are either complete or not there."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UNFINISHED = ".pocketzoo-"
"""Prefix of the names of files and directories that are not complete yet."""


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary file beside `path`, with the same suffixes, which becomes `path` when the block ends.

    If the block raises, the temporary file is removed and `path` stays as it was. Folders above `path` are made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _unfinished(path)
    temporary.touch(exist_ok=False)
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Yield an empty directory beside `path`, which becomes `path` when the block ends.

    A directory that is at `path` is replaced: it is removed once the new one is there. If the block raises, the new one
    is removed, unless the block has moved it elsewhere, and `path` stays as it was.
    """
    temporary = _unfinished(path)
    temporary.mkdir()
    try:
        yield temporary
        _replace_directory(path, temporary)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def remove(path: Path) -> None:
    """Remove a file, a link, or a directory with all that is in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _replace_directory(path: Path, new: Path) -> None:
    old = _unfinished(path)
    if path.exists():
        os.rename(path, old)
    try:
        os.rename(new, path)
    except OSError:
        if old.exists():
            os.rename(old, path)
        raise
    if old.exists():
        shutil.rmtree(old)


def _unfinished(path: Path) -> Path:
    """A new name in the folder of `path`."""
    return path.with_name(f"{UNFINISHED}{secrets.token_hex(8)}{''.join(path.suffixes[-2:])}")
