"""Locks on files and directories that end with the process that holds them, even if it is killed."""

import errno
import fcntl
import json
import os
import shlex
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import InputError, report_write_errors
from .user_warnings import warn

LONGEST_TEXT = 200
"""Characters of each text in the description of a holder."""
CONTENTION = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES}
NO_LOCKS = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EBADF, errno.EINVAL}
"""Error numbers of file systems that cannot lock the file; NFS locks no directories (EBADF)."""

TRIES = 3
"""Attempts to lock."""
PAUSE = 0.02
"""Seconds between them."""
UNLOCKED = -1
"""In place of a descriptor where there are no locks."""

_held: set[int] = set()
"""Descriptors of the locks of this process."""


class NoLocksError(OSError):
    """The file system has no locks."""


@contextmanager
def hold_lock(lock_file: Path, *, what: str, busy: str) -> Iterator[None]:
    """Hold a lock until the block ends or this process does, and tell others who holds it.

    Where the file system has no locks, a warning says so.

    Args:
        lock_file: Exists only while the lock is held, unless the process is killed; its folder must exist.
        what: What the message calls the thing that is locked where the lock cannot be written.
        busy: The message where another process, or another block of this one, holds the lock, without a period; what
            is known about the holder is added.

    Raises:
        InputError: The lock is held already, or cannot be written.
    """
    for _ in range(TRIES):  # who only looks whether the lock is held is waited for
        if (descriptor := _try_to_lock(lock_file, what)) is not None:
            break
        time.sleep(PAUSE)
    else:
        raise InputError(f"{busy}{_holder(lock_file)}.")
    with _kept(descriptor, lock_file):
        yield


@contextmanager
def wait_for_lock(lock_file: Path, *, what: str, on_wait: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Hold a lock as `hold_lock` does, as soon as nobody else holds it; `on_wait` is called once if that takes time.

    Raises:
        WriteError: The lock cannot be written.
    """
    tries = 0
    while (descriptor := _try_to_lock(lock_file, what)) is None:
        tries += 1
        if tries == TRIES:
            on_wait()
        time.sleep(PAUSE)
    with _kept(descriptor, lock_file):
        yield


def _try_to_lock(lock_file: Path, what: str) -> int | None:
    """Return the descriptor of the locked file, `UNLOCKED` where there are no locks, or None if it is held."""
    with report_write_errors(what):
        try:
            return open_locked(lock_file, os.O_RDWR | os.O_CREAT)
        except NoLocksError:
            warn(f"{what} is not locked, since its file system has no locks: use it from one process at a time.")
            lock_file.unlink(missing_ok=True)
            return UNLOCKED


@contextmanager
def _kept(descriptor: int, lock_file: Path) -> Iterator[None]:
    """Describe the holder of a lock in its file, and remove both when the block ends."""
    _describe_holder(descriptor)
    try:
        yield
    finally:
        if descriptor in _held and _is_at(descriptor, lock_file):
            with suppress(OSError):  # a file that stays keeps nobody out
                lock_file.unlink()  # while it is held: nobody else can hold the file that is removed
        release(descriptor)


def open_locked(path: Path, flags: int = os.O_RDONLY) -> int | None:
    """Open and lock the file or directory at `path`; return its descriptor for `release`, or None if it is locked.

    Raises:
        NoLocksError: The file system has no locks.
        OSError: It cannot be opened, for example because it is not there.
    """
    while True:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in CONTENTION:
                return None
            if error.errno in NO_LOCKS:
                raise NoLocksError(error.errno, error.strerror) from error
            raise
        _held.add(descriptor)
        if _is_at(descriptor, path):
            return descriptor
        release(descriptor)  # who held it before has removed it in the meantime


def release(descriptor: int | None) -> None:
    """Close a descriptor, which ends its lock; do nothing without one, or in a forked process, which has no locks."""
    if descriptor in _held:
        _held.discard(descriptor)
        os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file or directory is the one at `path`."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except OSError:
        return False


def _describe_holder(descriptor: int) -> None:
    """Write who holds a lock into its file."""
    holder = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S %Z"),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])[:LONGEST_TEXT],
    }
    with suppress(OSError):  # a full disk: the lock holds without it
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(holder).encode(), 0)


def _holder(lock_file: Path) -> str:
    """Describe who holds a lock; empty if its file does not say."""
    try:
        with lock_file.open("rb") as file:
            holder = json.loads(file.read(16 * LONGEST_TEXT))
        pid, host, since, command = (
            "".join(character for character in str(holder[name])[:LONGEST_TEXT] if character.isprintable())
            for name in ("pid", "host", "since", "command")
        )
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return ""
    return f": process {pid} on {host} since {since}, {command!r}"


def _forget_locks() -> None:
    """Let a forked process have no part in the locks of its parent, which would last until both have ended."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_forget_locks)
