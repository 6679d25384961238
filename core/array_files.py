"""Arrays in NumPy's files, whose headers are not trusted: they can ask for any memory, and for code to be run."""

import io
import math
from typing import IO

import numpy as np

from .errors import InputError, first_line

NPY = b"\x93NUMPY"
"""Beginning of a .npy file."""


def read_array_header(file: IO[bytes], size: int) -> tuple[tuple[int, ...], np.dtype]:
    """Return shape and dtype of an array of which a file of so many bytes has the header.

    Raises:
        InputError: The header is damaged, asks for more than the file has, or is of Python objects.
    """
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    except Exception as error:  # of the parser of Python's literals, such as TokenError and SyntaxError, or of zlib
        raise InputError(f"its header cannot be read: {first_line(error)}") from error
    if dtype.hasobject:
        raise InputError("it has Python objects, which can run code when they are read; save arrays of numbers")
    if math.prod(shape) * dtype.itemsize > size:
        raise InputError(f"its header says {dtype} of the shape {shape}, for which it is too short")
    return shape, dtype


def decode_array(encoded: bytes) -> np.ndarray:
    """Return the array in the content of a .npy file.

    Raises:
        InputError: It is damaged, or of Python objects.
    """
    read_array_header(io.BytesIO(encoded), len(encoded))
    try:
        array: np.ndarray = np.load(io.BytesIO(encoded), allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"it is damaged: {first_line(error)}") from error
    return array
