"""Where data comes from: scikit-learn's digits, a folder of images by class, or a table."""

from operator import index
from pathlib import Path

import numpy as np
from PIL import Image

from ...zoo.errors import InputError
from ...zoo.pixels import MODES, resize
from .folders import list_folder
from .images import ArrayImages, ImageData, ImageSplit
from .listing import OnUnreadable, read_listing
from .splitting import TEST, VALIDATION
from .tables import list_table


def load_data(
    source: str | Path,
    *,
    image_size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    seed: int = 0,
    on_unreadable: OnUnreadable = "raise",
) -> ImageData:
    """Loads a dataset, and splits it where the user has not: 70 % train, 10 % validation, 20 % test, by class.

    Args:
        source: One of

            - `"digits"`: scikit-learn's 1,797 handwritten digits, 8x8;
            - a folder with one sub-folder of images a class, or with train, val (or valid, validation) and test folders
              of these: that split is kept, and a missing val takes 10 % of the train images, a missing test 20 %;
            - a CSV file with the path of each image and its class, labels, numbers or mask, and its split where there
              is a column for it: `pocketzoo.training.data.tables` says how.
        image_size: Side, or (height, width), to resize images to; by default 32 for digits and 224 for files.
        channels: 1 (grey) or 3 (RGB); by default 1 for digits and 3 for files.
        seed: Of the split.
        on_unreadable: Whether an image that cannot be read, or a mask that is none of its image, is an error or is left
            out (and named in `skipped`).

    Raises:
        InputError: There is no such source, it has no images, one class only, a class without an image, an unreadable
            image, or the same image in two splits.
    """
    if on_unreadable not in ("raise", "skip"):
        raise InputError(f"on_unreadable is {on_unreadable!r}; allowed are 'raise' and 'skip'.")
    if channels not in (None, *MODES):
        raise InputError(f"channels is {channels}; allowed are 1 (grey) and 3 (RGB).")
    if source == "digits":
        return _digits(_sides(32 if image_size is None else image_size), channels or 1, seed)
    path = Path(source)
    if not path.is_dir() and not (path.is_file() and path.suffix.lower() == ".csv"):
        raise InputError(f"data {str(source)!r} is neither 'digits' nor a folder nor a .csv file.")
    shape = (*_sides(224 if image_size is None else image_size), channels or 3)
    listing = list_folder(path) if path.is_dir() else list_table(path)
    return read_listing(listing, shape, seed=seed, on_unreadable=on_unreadable)


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
