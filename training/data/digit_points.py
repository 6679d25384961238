"""Real handwritten digits and their four outermost points: keypoints to find, without a download.

The digits are scikit-learn's, of random sizes, positions and gray levels, under noise. Those of train, validation and
test come from disjoint sets of digits.
"""

import numpy as np
from PIL import Image

from ...core.errors import InputError
from ...zoo.image_files import MODES
from .digits import digit_parts, real_digits
from .images import ArrayImages, ImageData, ImageSplit
from .splitting import SPLITS

LABELS = ("left", "right", "top", "bottom")
PICTURES = {"train": 3000, "validation": 300, "test": 600}
SMALLEST = 24
"""Smallest side in pixels on which the points can be told apart."""
SIZES = (0.5, 0.9)
"""Range of the height of a digit, as a share of the smaller side."""
EDGE = (0.3, 0.6)
"""Ink, 0..1, at which a stroke begins and from which it is opaque: without it upsampled digits would be blurred."""
INKED = 0.5
"""Share of a pixel that ink covers at least, where a point may be."""
BACKGROUND, LEVEL, NOISE = (0, 80), (160, 255), 6.0
"""Ranges of the gray levels of background and ink, and the standard deviation of the noise."""
VISIBLE = 2.0


def digit_points(sides: tuple[int, int], channels: int, seed: int) -> ImageData:
    """Return 3,000, 300 and 600 digits for train, validation and test, with their points.

    Args:
        sides: Height and width in pixels.
        channels: 1 (gray) or 3 (RGB).
        seed: Seed for the splits and the pictures.

    Raises:
        InputError: A side has less than 24 pixels.
    """
    if min(sides) < SMALLEST:
        raise InputError(f"digit-points take {SMALLEST} pixels a side or more, not {sides[0]}x{sides[1]}.")
    splits = []
    for number, (split, part) in enumerate(zip(SPLITS, digit_parts(seed), strict=True)):
        random = np.random.default_rng([seed, number])
        pictures, points = zip(*(_picture(random, part, sides) for _ in range(PICTURES[split])), strict=True)
        pixels = np.stack([np.asarray(Image.fromarray(picture).convert(MODES[channels])) for picture in pictures])
        splits.append(ImageSplit(ArrayImages(pixels.reshape(len(pixels), *sides, channels)), np.stack(points)))
    train, validation, test = splits
    return ImageData("digit-points", LABELS, train, validation, test, task="keypoints")


def _picture(random: np.random.Generator, rows: np.ndarray, sides: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return a gray picture, uint8, of one of the digits at `rows`, and its points, float32 `(4, 3)`."""
    ink, _ = real_digits()
    size = round(random.uniform(*SIZES) * min(sides))
    top, left = (random.integers(0, side - size, endpoint=True) for side in sides)
    digit = Image.fromarray(ink[random.choice(rows)]).resize((size, size), Image.Resampling.BICUBIC)
    covered = np.zeros(sides)
    covered[top : top + size, left : left + size] = np.interp(np.asarray(digit) / 255, EDGE, (0, 1))
    background, level = random.uniform(*BACKGROUND), random.uniform(*LEVEL)
    pixels = background + covered * (level - background) + random.normal(0, NOISE, sides)
    return pixels.round().clip(0, 255).astype("uint8"), _outermost(covered >= INKED)


def _outermost(inked: np.ndarray) -> np.ndarray:
    """Return x, y (shares of width and height) and visibility of the outermost pixels; of several the middle one."""
    height, width = inked.shape
    rows, columns = np.nonzero(inked)
    points = []
    for values, others, end in ((columns, rows, min), (columns, rows, max), (rows, columns, min), (rows, columns, max)):
        at = end(values)
        along = np.median(others[values == at])
        points.append((at, along) if values is columns else (along, at))
    shares = (np.array(points) + 0.5) / (width, height)
    return np.concatenate([shares, np.full((len(points), 1), VISIBLE)], axis=1).astype("float32")
