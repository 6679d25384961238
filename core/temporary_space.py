"""The folder for temporary files, which other packages write to and may not say that it is full."""

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from .errors import InputError, WriteError, write_error_reason

NEEDED = 1 << 20
"""Bytes whose lack is taken for the reason of a failure."""
UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES}


@contextmanager
def needing_temporary_space() -> Iterator[None]:
    """Report an error of the block that is due to temporary files as that: tools may pass over what they cannot write.

    The block writes no other files.

    Raises:
        WriteError: The folder for temporary files is full or cannot be written.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in UNWRITABLE:
            raise _write_error(error) from error
        _check_space()
        raise


def _check_space() -> None:
    try:
        with tempfile.TemporaryFile() as file:
            file.write(bytes(NEEDED))
            file.flush()
    except OSError as error:
        raise _write_error(error) from error


def _write_error(error: OSError) -> WriteError:
    folder = tempfile.tempdir or "the folder for temporary files (TMPDIR)"
    return WriteError(f"{folder} cannot hold temporary files: {write_error_reason(error)}.", error.errno)
