"""Where data comes from: scikit-learn's digits, or a folder of images by class."""

import hashlib
from collections.abc import Callable
from operator import index
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from ..zoo.errors import InputError
from ..zoo.pixels import MODES, read_image, resize
from .data import ArrayImages, FileImages, ImageData, Images, ImageSplit, split_stratified

VALIDATION, TEST = 0.1, 0.2
"""Shares of the whole that are kept for choosing and for the final figures."""
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".avif", ".heic", ".heif"}
"""What counts as an image, readable here or not; other files in a class folder are passed over."""


def load_data(
    source: str | Path,
    *,
    image_size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    seed: int = 0,
    on_unreadable: Literal["raise", "skip"] = "raise",
) -> ImageData:
    """Loads a dataset and splits it: 70 % train, 10 % validation, 20 % test, stratified by class.

    Args:
        source: `"digits"` (scikit-learn's 1,797 handwritten digits, 8x8) or a folder with one sub-folder a class.
        image_size: Side, or (height, width), to resize images to; by default 32 for digits and 224 for a folder.
        channels: 1 (grey) or 3 (RGB); by default 1 for digits and 3 for a folder.
        seed: Of the split.
        on_unreadable: Whether an image file that cannot be read is an error or is left out (and named in `skipped`).

    Raises:
        InputError: There is no such source, or it has no images, one class only, or an unreadable image.
    """
    if on_unreadable not in ("raise", "skip"):
        raise InputError(f"on_unreadable is {on_unreadable!r}; allowed are 'raise' and 'skip'.")
    if channels not in (None, *MODES):
        raise InputError(f"channels is {channels}; allowed are 1 (grey) and 3 (RGB).")
    if source == "digits":
        return _digits(_sides(32 if image_size is None else image_size), channels or 1, seed)
    folder = Path(source)
    if not folder.is_dir():
        raise InputError(f"data {str(source)!r} is neither 'digits' nor a folder.")
    return _folder(folder, (*_sides(224 if image_size is None else image_size), channels or 3), seed, on_unreadable)


def _sides(image_size: int | tuple[int, int]) -> tuple[int, int]:
    try:
        height, width = map(index, (image_size, image_size) if np.isscalar(image_size) else image_size)
    except (TypeError, ValueError):
        height = width = 0
    if min(height, width) < 1:
        raise InputError(f"image_size is {image_size!r}; it takes pixels, 1 or more: a side, or (height, width).")
    return height, width


def _digits(sides: tuple[int, int], channels: int, seed: int) -> ImageData:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    small = np.round(digits.images * (255 / 16)).astype("uint8")  # scikit-learn's ink goes from 0 to 16
    pixels = np.stack([resize(Image.fromarray(image).convert(MODES[channels]), *sides) for image in small])
    names = tuple(str(name) for name in digits.target_names)
    labels = digits.target.astype("int32")
    # These images never change, so scikit-learn's own split serves, and figures compare with others' on its digits.
    rest, test = train_test_split(np.arange(len(labels)), test_size=TEST, stratify=labels, random_state=seed)
    train, validation = train_test_split(
        rest, test_size=round(VALIDATION * len(labels)), stratify=labels[rest], random_state=seed
    )
    splits = (ImageSplit(ArrayImages(pixels[part]), labels[part]) for part in (train, validation, test))
    return ImageData("digits", names, *splits)


def _folder(folder: Path, shape: tuple[int, int, int], seed: int, on_unreadable: Literal["raise", "skip"]) -> ImageData:
    names = tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != "."))
    if len(names) < 2:
        raise InputError(
            f"{folder} has {len(names)} class folders; it takes one folder of images for each of 2 or more classes."
        )
    files = [(path, label) for label, name in enumerate(names) for path in _image_files(folder / name)]
    for label, name in enumerate(names):
        if not any(found == label for _, found in files):
            raise InputError(f"{folder / name} has no images; every class folder takes 3 or more.")
    readable, skipped = _readable(files, shape, on_unreadable)
    paths = np.array([path for path, _ in readable], dtype=object)
    labels = np.array([label for _, label in readable], dtype="int32")
    contents = [hashlib.sha256(path.read_bytes()).digest() for path in paths]
    counts = [len({contents[i] for i in np.flatnonzero(labels == label)}) for label in range(len(names))]
    for name, count in zip(names, counts, strict=True):
        if count < 3:
            raise InputError(f"{folder / name} has {count} different readable images; every class takes 3 or more.")
    return _split(str(folder), names, labels, contents, lambda part: FileImages(paths[part], shape), seed, skipped)


def _image_files(folder: Path) -> list[Path]:
    found = (path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    # Hidden files and folders are the system's: macOS' "._photo.jpg", ".ipynb_checkpoints", ".thumbnails".
    return sorted(path for path in found if not any(part[0] == "." for part in path.relative_to(folder).parts))


def _readable(
    files: list[tuple[Path, int]], shape: tuple[int, int, int], on_unreadable: Literal["raise", "skip"]
) -> tuple[list[tuple[Path, int]], tuple[str, ...]]:
    """Decodes every file once, so that training does not stop at a damaged image hours later."""
    height, width, channels = shape
    good, bad = [], []
    console = Console(stderr=True, quiet=len(files) < 500)
    for path, label in track(files, description="Reading images", console=console):
        try:
            read_image(path, height=height, width=width, channels=channels)
            good.append((path, label))
        except InputError as error:
            bad.append((path, error))
    if bad and on_unreadable == "raise":
        path, error = bad[0]
        raise InputError(
            f"{len(bad)} of {len(files)} images cannot be read, first {error} Remove them, or leave them out "
            "(on_unreadable='skip', --skip-unreadable)."
        )
    return good, tuple(str(path) for path, _ in bad)


def _split(
    source: str,
    names: tuple[str, ...],
    labels: np.ndarray,
    contents: list[bytes],
    images: Callable[[np.ndarray], Images],
    seed: int,
    skipped: tuple[str, ...] = (),
) -> ImageData:
    parts = split_stratified(labels, contents, validation=VALIDATION, test=TEST, seed=seed)
    train, validation, test = (ImageSplit(images(part), labels[part]) for part in parts)
    return ImageData(source, names, train, validation, test, skipped)
