"""scikit-learn's 1,797 handwritten digits: small, real, and available without a download."""

from functools import cache

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from ...zoo.image_files import MODES, resize
from .images import ArrayImages, ImageData, ImageSplit
from .splitting import TEST, VALIDATION

NAMES = tuple("0123456789")


@cache
def real_digits() -> tuple[np.ndarray, np.ndarray]:
    """Return the ink, uint8 0..255 of shape `(1797, 8, 8)`, and digits, int32 `(1797,)`."""
    digits = load_digits()
    # scikit-learn's ink goes from 0 to 16.
    return np.round(digits.images * (255 / 16)).astype("uint8"), digits.target.astype("int32")


def digit_parts(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows of the digits for train, validation and test: disjoint, stratified.

    These images never change, so scikit-learn's own split is stable, and metrics compare with published ones.
    """
    _, labels = real_digits()
    rest, test = train_test_split(np.arange(len(labels)), test_size=TEST, stratify=labels, random_state=seed)
    train, validation = train_test_split(
        rest, test_size=round(VALIDATION * len(labels)), stratify=labels[rest], random_state=seed
    )
    return train, validation, test


def digits(sides: tuple[int, int], channels: int, seed: int) -> ImageData:
    """Return the digits, resized to `sides` (height, width), as a classification."""
    ink, labels = real_digits()
    pixels = np.stack([resize(Image.fromarray(image).convert(MODES[channels]), *sides) for image in ink])
    train, validation, test = (ImageSplit(ArrayImages(pixels[part]), labels[part]) for part in digit_parts(seed))
    return ImageData("digits", NAMES, train, validation, test)
