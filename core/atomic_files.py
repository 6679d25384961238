"""Files and directories that are either complete or not there."""

import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import InputError, report_write_errors
from .file_lock import UNLOCKED, NoLocksError, open_locked, release

UNFINISHED = ".pocketzoo-"
"""Prefix of the names of files and directories that are not complete yet."""
OLD = ".old"
"""Suffix of the name of a directory while a new one takes its place."""
ABANDONED = re.compile(re.escape(UNFINISHED) + r"([0-9a-f]{16}(\.[^.]*){0,2}|.+\.(lock|old))")
"""Names that are made here and for locks. Which of them are in use, their locks tell."""


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary file beside `path`, with the same suffixes, which becomes `path` when the block ends.

    If the block raises, the temporary file is removed and `path` stays as it was. Folders above `path` are made. The
    content is on the disk before the name is: after a power failure, too, the file is whole.

    Raises:
        WriteError: The file cannot be written, for example because the disk is full.
        InputError: As in `check_output`.
    """
    path = check_output(path)
    with report_write_errors(str(path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _unfinished(path, lambda temporary: temporary.touch(exist_ok=False)) as temporary:
            try:
                yield temporary
                flush_file(temporary)
                os.replace(temporary, path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise


def check_output(path: str | Path, *, folder: bool = False) -> Path:
    """Return the path of a file or `folder` to be written, which need not exist.

    Raises:
        InputError: Something else is there, such as a device, which would be replaced; or it lies below a file.
    """
    path, what = Path(path), "a folder" if folder else "a file"
    if "\0" in str(path):
        raise InputError(f"{str(path)!r} is not a path: it has a null character.")
    with report_write_errors(str(path)):
        is_taken = path.exists() and not (path.is_dir() if folder else path.is_file())
        above = next((parent for parent in path.parents if parent.exists()), None)
    if is_taken:
        raise InputError(f"{path} cannot be written: it exists and is not {what}.")
    if above is not None and not above.is_dir():
        raise InputError(f"{path} cannot be written: {above} is not a folder.")
    return path


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Yield an empty directory beside `path`, which becomes `path` when the block ends.

    A directory that is at `path` is replaced: it is removed once the new one is there. If the block raises, the new one
    is removed, unless the block has moved it elsewhere, and `path` stays as it was.
    """
    with _unfinished(path, Path.mkdir) as temporary:
        try:
            yield temporary
            _replace_directory(path, temporary)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


def flush_file(path: Path) -> None:
    """Wait until the content of a file is on the disk.

    Raises:
        OSError: It cannot be written there, which some file systems tell no sooner.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file, a link, or a directory with all that is in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def remove_abandoned(folder: Path) -> None:
    """Remove what processes that were killed had begun to write in `folder`, and their locks.

    A directory that such a process had moved away, and not replaced yet, is moved back. What a process still works on
    is locked by it and stays.
    """
    for entry in list(folder.iterdir()):
        if ABANDONED.fullmatch(entry.name):
            with suppress(OSError):  # what cannot be locked or removed stays
                _remove_unlocked(entry)


def _remove_unlocked(entry: Path) -> None:
    descriptor = open_locked(entry)
    if descriptor is None:
        return
    try:
        replaced = entry.with_name(entry.name.removeprefix(UNFINISHED).removesuffix(OLD))
        if entry.name.endswith(OLD) and not replaced.exists():
            os.rename(entry, replaced)
        else:
            remove(entry)
    finally:
        release(descriptor)


def _replace_directory(path: Path, new: Path) -> None:
    if not path.exists():
        os.rename(new, path)
        return
    old = path.with_name(f"{UNFINISHED}{path.name}{OLD}")
    descriptor = _locked(path)
    try:
        if old.exists():
            remove(old)
        os.rename(path, old)
        try:
            os.rename(new, path)
        except OSError:
            os.rename(old, path)
            raise
        remove(old)
    finally:
        release(descriptor)


@contextmanager
def _unfinished(path: Path, make: Callable[[Path], None]) -> Iterator[Path]:
    """Make an entry with a new name in the folder of `path`, and keep it locked until the block ends."""
    descriptor = None
    while descriptor is None:
        temporary = path.with_name(f"{UNFINISHED}{secrets.token_hex(8)}{''.join(path.suffixes[-2:])}")
        make(temporary)
        with suppress(FileNotFoundError):  # another process may take it for abandoned before it is locked
            descriptor = _locked(temporary)
    try:
        yield temporary
    finally:
        release(descriptor)


def _locked(path: Path) -> int | None:
    """Lock what is at `path` as far as the file system has locks; return what `release` takes, or None if it is."""
    try:
        return open_locked(path)
    except NoLocksError:
        return UNLOCKED
