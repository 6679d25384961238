"""Values of TIFF files that Pillow does not read, or of which it drops bands or bits: many bands, 16 bits in color."""

import io
import math
from itertools import accumulate
from typing import IO, Any, Literal

import numpy as np
from PIL import TiffImagePlugin

from .errors import InputError
from .image_formats import open_image
from .limits import IMAGE_PIXELS, TIFF_BANDS, TIFF_BYTES

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, STRIPS, ORIENTATION, BANDS = 256, 257, 258, 259, 262, 273, 274, 277
ROWS_PER_STRIP, STRIP_BYTES, PLANAR, PREDICTOR, TILE_WIDTH, TILE_HEIGHT = 278, 279, 284, 317, 322, 323
TILES, TILE_BYTES, EXTRA_BANDS, FORMAT = 324, 325, 338, 339
"""Tags of TIFF 6.0 (Adobe, 1992)."""
GRAY_OR_RGB = (0, 1, 2)
COMPRESSIONS = {1: "none", 5: "LZW", 8: "Deflate", 32946: "Deflate", 32773: "PackBits"}
"""Compressions of bytes, which do not depend on what these mean."""
SIGNED = 2
"""Sample format of signed integers."""
DTYPES = {(1, 8): "uint8", (1, 16): "uint16", (2, 16): "int16", (2, 32): "int32", (3, 32): "float32"}
"""NumPy dtype by sample format (1 unsigned, 2 signed, 3 float) and bits."""


def read_tiff_bands(encoded: bytes) -> np.ndarray | None:
    """Return the values of a TIFF file's first image, `(height, width, bands)`, rotated as its tag says.

    The directory is rewritten, so that Pillow sees the bytes of all bands as one gray image of several times the width,
    and decompresses them.

    Returns:
        None for files that Pillow reads with all bands and bits, and for files that are no TIFF.

    Raises:
        InputError: It has several bands in a form that cannot be read.
    """
    tags = _read_tags(io.BytesIO(encoded))
    if tags is None or _is_read_by_pillow(tags):
        return None
    bands, bits, kind = int(tags.get(BANDS, 1)), _all(tags.get(BITS, 1)), _all(tags.get(FORMAT, 1))
    dtype, compression = DTYPES.get((kind or 0, bits or 0)), tags.get(COMPRESSION, 1)
    predictor = tags.get(PREDICTOR, 1) if COMPRESSIONS.get(compression) in ("LZW", "Deflate") else 1
    if dtype is None or compression not in COMPRESSIONS or predictor not in (1, 2):
        raise InputError(
            f"it has {bands} bands of {bits or 'several numbers of'} bits in "
            f"compression {compression}; TIFF files with several bands are read with 8 or 16 bits or float32, "
            "uncompressed or as LZW, Deflate or PackBits. Convert it, or read it with tifffile (pip install tifffile) "
            "and give arrays to from_arrays."
        )
    size = tags[HEIGHT], tags[WIDTH]
    TIFF_BANDS.check(bands, "it")
    IMAGE_PIXELS.check(math.prod(size), f"it is {size[1]:,} x {size[0]:,} and")
    TIFF_BYTES.check(math.prod(size) * bands * np.dtype(dtype).itemsize, f"it is {size[1]:,} x {size[0]:,} and")
    if tags.get(PLANAR, 1) == 1:
        values = _gray(encoded, tags, dtype, bands, slice(None)).reshape(*size, bands)
    else:
        chunks = len(tags.get(STRIPS, tags.get(TILES, ())))
        planes = [slice(n * chunks // bands, (n + 1) * chunks // bands) for n in range(bands)]
        values = np.stack([_gray(encoded, tags, dtype, 1, plane) for plane in planes], axis=-1)
    values = values if predictor == 1 else _undo_differences(values, tags.get(TILE_WIDTH))
    return rotated(values, tags.get(ORIENTATION, 1))


def read_tiff_size(file: IO[bytes]) -> tuple[str, tuple[int, int]] | None:
    """Return what the pixels of such a file are, and its height and width as displayed; None for any other file.

    Args:
        file: At its beginning.
    """
    tags = _read_tags(file)
    if tags is None or _is_read_by_pillow(tags):
        return None
    height, width = tags[HEIGHT], tags[WIDTH]
    mode = f"{tags.get(BANDS, 1)} x {_all(tags.get(BITS, 1)) or '?'} bits"
    return mode, (width, height) if tags.get(ORIENTATION, 1) >= 5 else (height, width)


def _read_tags(file: IO[bytes]) -> Any:
    """Return the directory of a TIFF file's first image; None for a file that is no TIFF."""
    header = file.read(8)
    if header[:4] not in (b"II*\0", b"MM\0*"):
        return None
    tags = TiffImagePlugin.ImageFileDirectory_v2(header)
    file.seek(tags.next)
    tags.load(file)
    return tags


def _is_read_by_pillow(tags: Any) -> bool:
    """Return whether Pillow reads all bands and bits."""
    bands, bits = int(tags.get(BANDS, 1)), _all(tags.get(BITS, 1))
    extra = tags.get(EXTRA_BANDS, ())
    alpha = bands in (2, 4) and extra in ((1,), (2,), 1, 2)
    # Pillow swaps the bytes of compressed big-endian numbers twice, widens signed numbers of 16 bits, and has no name
    # for a plane of 16 bits.
    exact = tags.prefix == b"II" and _all(tags.get(FORMAT, 1)) != SIGNED and tags.get(PLANAR, 1) == 1
    is_read = bands == 1 and (bits is None or bits <= 8 or exact)
    return is_read or tags.get(PHOTOMETRIC) not in GRAY_OR_RGB or (bits == 8 and (bands == 3 or alpha))


def rotated(values: np.ndarray, orientation: int) -> np.ndarray:
    """Return `(height, width, bands)` rotated and mirrored as the tag `ORIENTATION` says, 1..8."""
    values = values.transpose(1, 0, 2) if orientation >= 5 else values
    rows = slice(None, None, -1 if orientation in (3, 4, 7, 8) else 1)
    columns = slice(None, None, -1 if orientation in (2, 3, 6, 7) else 1)
    return np.ascontiguousarray(values[rows, columns])


def _all(value: Any) -> int | None:
    """Return the number that a tag has for every band; None where they differ."""
    values = set(value) if isinstance(value, tuple) else {value}
    return int(values.pop()) if len(values) == 1 else None


def _gray(encoded: bytes, tags: Any, dtype: str, bands: int, chunks: slice) -> np.ndarray:
    """Return the values of some strips or tiles, `(height, width * bands)`."""
    order: Literal["little", "big"] = "little" if encoded[:2] == b"II" else "big"
    pixel = bands * np.dtype(dtype).itemsize
    new: dict[int, tuple[int, ...]] = {
        WIDTH: (tags[WIDTH] * pixel,),
        HEIGHT: (tags[HEIGHT],),
        BITS: (8,),
        COMPRESSION: (tags.get(COMPRESSION, 1),),
        PHOTOMETRIC: (1,),
        BANDS: (1,),
    }
    if TILES in tags:
        new |= {TILE_WIDTH: (tags[TILE_WIDTH] * pixel,), TILE_HEIGHT: (tags[TILE_HEIGHT],)}
    else:
        new |= {ROWS_PER_STRIP: (min(tags.get(ROWS_PER_STRIP, tags[HEIGHT]), tags[HEIGHT]),)}
    places, sizes = (TILES, TILE_BYTES) if TILES in tags else (STRIPS, STRIP_BYTES)
    starts = tags[places]
    lengths = tags.get(sizes, (len(encoded),) * len(starts))
    parts = [encoded[start : start + length] for start, length in zip(starts[chunks], lengths[chunks], strict=True)]
    ends = list(accumulate(map(len, parts), initial=8))
    if ends[-1] > 8 + len(encoded):
        raise InputError("it is damaged (its strips or tiles overlap).")
    new |= {places: tuple(ends[:-1]), sizes: tuple(map(len, parts))}
    header = encoded[:4] + ends[-1].to_bytes(4, order)
    rewritten = io.BytesIO(header + b"".join(parts) + _directory(new, ends[-1], order))
    with open_image(rewritten) as image:
        return np.asarray(image).view(np.dtype(dtype).newbyteorder(order)).astype(dtype)


def _directory(tags: dict[int, tuple[int, ...]], start: int, order: Literal["little", "big"]) -> bytes:
    """Return a directory of 32-bit numbers that is at byte `start` of its file, without one after it."""
    entries, after = b"", b""
    for tag, values in sorted(tags.items()):
        data = b"".join(value.to_bytes(4, order) for value in values)
        if len(values) > 1:
            position = start + 2 + 12 * len(tags) + 4 + len(after)
            after, data = after + data, position.to_bytes(4, order)
        entries += tag.to_bytes(2, order) + (4).to_bytes(2, order) + len(values).to_bytes(4, order) + data
    return len(tags).to_bytes(2, order) + entries + bytes(4) + after


def _undo_differences(values: np.ndarray, tile_width: int | None) -> np.ndarray:
    """Return the values whose differences from the pixel on the left are stored, with the overflow of their dtype."""
    width = values.shape[1]
    step = tile_width or width
    parts = [values[:, step * n : step * (n + 1)] for n in range(math.ceil(width / step))]
    return np.concatenate([np.cumsum(part, axis=1, dtype=values.dtype) for part in parts], axis=1)
