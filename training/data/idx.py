"""IDX files, in which MNIST and the data sets that took its place are published: images and their classes.

A file has four bytes (two zeros, the type of the numbers, how many axes), the length of each axis in four bytes, and
the numbers; all of them big-endian. LeCun, Cortes, Burges: The MNIST database of handwritten digits.
"""

import gzip
import math
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import InputError, first_line, shorten
from ...core.input_files import check_file, read_text
from ...core.limits import ARRAY_BYTES
from .folder_names import parse_folder_name
from .listing import Listing
from .paired_folders import LABEL_FILES
from .pixel_rows import PNM_TYPES, list_pixels
from .splitting import SPLITS

TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
FILE_NAME = re.compile(r"(?P<part>.*?)[-_. ]?(?P<kind>images?|labels?)([-_.]?idx\d?)?([-_.]ubyte|\.idx)(\.gz)?", re.I)
CHUNK = 2**20
"""Bytes that are read at a time: a header may state any length."""
FORM = "'train-images-idx3-ubyte' beside 'train-labels-idx1-ubyte', perhaps with '.gz'"


def is_idx(path: Path) -> bool:
    """Return whether a path is an IDX file of images, or a folder with some, by the names."""
    if path.is_dir():
        return any(_kind(each) == "image" for each in path.iterdir())
    return FILE_NAME.fullmatch(path.name) is not None and path.is_file()


def list_idx(path: Path, labels: tuple[str, ...] | None = None, *, source: str = "") -> Listing:
    """Return the images and classes of a folder of IDX files, or of a single file of images with its labels beside it.

    Args:
        path: The folder, with names as `train-images-idx3-ubyte.gz` and `t10k-labels-idx1-ubyte`; or a file of images.
        labels: Names of the classes. If None, those in a `labels.txt` beside the files, or else the numbers.
        source: Name of the data set; the path by default.

    Raises:
        InputError: A file is missing or damaged, is no image classification, or has not as many labels as images.
    """
    if path.is_file() and _kind(path) != "image":
        raise InputError(f"{path} has labels; give the file of the images, or the folder of both.")
    folder, files = (path, sorted(path.iterdir())) if path.is_dir() else (path.parent, [path])
    pairs: dict[str, tuple[Path, Path]] = {}
    for images in (file for file in files if _kind(file) == "image"):
        split = _split(images) if path.is_dir() else "train"
        if split in pairs:
            raise InputError(f"{path} has {pairs[split][0].name} and {images.name} for {split}; give one of them.")
        pairs[split] = images, _labels_beside(images)
    if "train" not in pairs:
        raise InputError(f"{path} has {', '.join(pairs)} but no images for training; it takes {FORM}.")
    arrays = {split: _read_pair(*pairs[split]) for split in SPLITS if split in pairs}
    names, numbers = _classes(folder, np.unique(np.concatenate([rows for _, rows in arrays.values()])), labels)
    parts = {
        split: (str(pairs[split][0]), pixels, np.searchsorted(numbers, rows))
        for split, (pixels, rows) in arrays.items()
    }
    return list_pixels(source or str(path), parts, names)


def read_idx(path: Path) -> np.ndarray:
    """Return the array in an IDX file, compressed with gzip or not.

    Its header is not trusted: the file must have exactly as many numbers as it says, and memory is taken as they come.

    Raises:
        InputError: It is no IDX file, is damaged, or has more bytes than the limit.
    """
    check_file(path)
    try:
        with path.open("rb") as plain:
            is_compressed = plain.read(2) == b"\x1f\x8b"
        with gzip.open(path) if is_compressed else path.open("rb") as file:
            dtype, shape = _read_header(file, path)
            size = math.prod(shape) * dtype.itemsize
            ARRAY_BYTES.check(size, path)
            content = bytearray()
            while len(content) <= size and (chunk := file.read(min(CHUNK, size + 1 - len(content)))):
                content += chunk
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read: {first_line(error)}.") from error
    if len(content) != size:
        found = f"has {len(content):,}" if len(content) < size else "has more"
        raise InputError(f"{path} {found} bytes of numbers, but its header says {size:,}: it is damaged.")
    return np.frombuffer(bytes(content), dtype).reshape(shape)


def _read_header(file: Any, path: Path) -> tuple[np.dtype, tuple[int, ...]]:
    start = file.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in TYPES or not 1 <= start[3] <= 4:
        raise InputError(f"{path} is no IDX file: it begins with {start.hex(' ') or 'nothing'}.")
    sides = file.read(4 * start[3])
    if len(sides) < 4 * start[3]:
        raise InputError(f"{path} ends within its header.")
    return np.dtype(TYPES[start[2]]), tuple(np.frombuffer(sides, ">u4").tolist())


def _read_pair(images: Path, labels: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels, uint8 `(count, height, width, channels)`, and their labels `(count,)`."""
    pixels, rows = read_idx(images), read_idx(labels)
    if pixels.ndim == 3:
        pixels = pixels[..., np.newaxis]
    if pixels.ndim != 4 or pixels.dtype != np.uint8 or pixels.shape[-1] not in PNM_TYPES or not pixels.size:
        raise InputError(
            f"{images} has {pixels.dtype} of the shape {pixels.shape}; images are uint8 (count, height, width), or "
            "(count, height, width, 3)."
        )
    if rows.ndim != 1 or rows.dtype.kind not in "iu" or rows.min(initial=0) < 0:
        raise InputError(f"{labels} has {rows.dtype} of the shape {rows.shape}; labels are whole numbers from 0 on.")
    if len(pixels) != len(rows):
        raise InputError(f"{images} has {len(pixels):,} images, but {labels.name} has {len(rows):,} labels.")
    return pixels, rows


def _classes(folder: Path, numbers: np.ndarray, labels: tuple[str, ...] | None) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the names of the classes, and the number that stands for each in the files."""
    file = next((folder / name for name in LABEL_FILES if (folder / name).is_file()), None)
    if labels is None and file is None:
        return tuple(map(str, numbers.tolist())), numbers
    names = labels or tuple(line.strip() for line in read_text(file or folder).splitlines() if line.strip())
    if len(set(names)) < len(names):
        raise InputError(f"{file or folder} has {shorten(', '.join(names))}; it takes different names, one a line.")
    if len(names) == len(numbers) == numbers[-1] - numbers[0] + 1:  # as in EMNIST's letters, which start at 1
        return names, numbers
    if numbers.max() >= len(names):
        raise InputError(f"{file or folder} names {len(names)} classes, but the files have the class {numbers.max()}.")
    return names, np.arange(len(names))


def _kind(path: Path) -> str | None:
    """Return `"image"` or `"label"` for an IDX file with a usual name; None for any other."""
    match = FILE_NAME.fullmatch(path.name)
    return match["kind"].lower().rstrip("s") if match else None


def _split(images: Path) -> str:
    """Return the split that the name of a file of images states."""
    part = FILE_NAME.fullmatch(images.name)["part"]  # type: ignore[index]  # its kind is known
    split = "test" if part.lower().endswith("t10k") else parse_folder_name(part).split
    if split is None:
        raise InputError(f"{images} is named after no split; it takes {FORM}, and 't10k' or 'test' for the test.")
    return split


def _labels_beside(images: Path) -> Path:
    """Return the file with the labels of images, which differs in the words of its name that say what it has."""
    part = FILE_NAME.fullmatch(images.name)["part"]  # type: ignore[index]  # its kind is known
    for file in sorted(images.parent.iterdir()):
        match = FILE_NAME.fullmatch(file.name)
        if match and _kind(file) == "label" and match["part"] == part:
            return file
    raise InputError(f"{images} has no labels beside it; it takes {FORM}.")
