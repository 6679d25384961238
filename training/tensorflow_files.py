"""Files that TensorFlow writes: its errors are no `OSError`s."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

NUMBERS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.EIO, errno.ENOENT, errno.ENOTDIR, errno.EISDIR),
)


@contextmanager
def tensorflow_write_errors() -> Iterator[None]:
    """Convert the error of TensorFlow that a file cannot be written, such as `ResourceExhaustedError`, to an `OSError`.

    The text of the system in its message tells which.
    """
    try:
        yield
    except tf.errors.OpError as error:
        number = next((number for number in NUMBERS if os.strerror(number) in error.message), None)
        if number is None:
            raise
        raise OSError(number, os.strerror(number)) from error
