"""Reading of files that a user or a stranger supplies: regular files only, and no larger than a limit.

Opening a pipe, a device or a socket can block forever, and a sparse file can state any size. Whoever opens a file, or
lets a library open it, calls `check_file` or a function that does.
"""

import stat
from pathlib import Path
from typing import IO

from .errors import InputError
from .limits import TEXT_BYTES, Limit

KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
"""What is not a regular file, by its type in `stat`."""


def check_file(path: str | Path, limit: Limit | None = None, kind: str = "") -> Path:
    """Return the path of a regular file, or of a link to one, after a look at its size.

    Args:
        path: The file.
        limit: Of its size in bytes; None where it is read in pieces.
        kind: What it should be, such as "an image", for error messages.

    Raises:
        InputError: There is no such file, it is something else, such as a folder or a pipe, or it is above `limit`.
    """
    cannot = f"{path} cannot be read{kind and f' as {kind}'}"
    try:
        status = Path(path).stat()
    except FileNotFoundError as error:
        raise InputError(f"{cannot if kind else path}: there is no such file.") from error
    except OSError as error:
        raise InputError(f"{cannot}: {error.strerror}.") from error
    except ValueError as error:  # a null byte, which no path can have
        raise InputError(f"{str(path)!r} is not a path: it has a null character.") from error
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{cannot}: it is {KINDS.get(stat.S_IFMT(status.st_mode), 'special')}, not a regular file.")
    if limit is not None:
        limit.check(status.st_size, path)
    return Path(path)


def read_file(path: str | Path, limit: Limit, kind: str = "") -> bytes:
    """Return the content of a file; arguments and errors as in `check_file`."""
    try:
        return check_file(path, limit, kind).read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error


def open_file(path: str | Path, limit: Limit, kind: str = "") -> IO[bytes]:
    """Open a file to read a part of it; arguments and errors as in `check_file`."""
    try:
        return check_file(path, limit, kind).open("rb")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error


def read_text(path: str | Path, limit: Limit = TEXT_BYTES) -> str:
    """Return the text of a file in UTF-8, without a byte order mark; errors as in `check_file`, and other encodings."""
    try:
        return read_file(path, limit).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} cannot be read: it is not in UTF-8 (at byte {error.start}).") from error
