"""Numbers of one to eight real digits, each on one line: texts to read, without a download.

The digits are scikit-learn's, of random heights, distances, offsets and slants, in random gray levels, under noise.
Those of train, validation and test come from disjoint sets of digits.
"""

import numpy as np
from PIL import Image

from ...core.errors import InputError
from ...tasks.texts import encode_texts
from ...zoo.image_files import MODES
from .digits import NAMES, digit_parts, real_digits
from .images import ArrayImages, ImageData, ImageSplit
from .splitting import SPLITS

BICUBIC = Image.Resampling.BICUBIC
STRINGS = {"train": 12000, "validation": 500, "test": 1000}
LONGEST = 8
SMALLEST = 16
"""Smallest height in pixels on which digits can still be distinguished."""
ASPECT = 4
"""Smallest width for one of the height, so that the longest strings fit."""
SIZES = (0.5, 0.85)
"""Range of the height of the digits of a string, as a share of the height of the image."""
STRAYING = 0.1
"""By how much the height of one digit may differ from that, as a share of it."""
PITCH = (0.75, 1.15)
"""Range of the distance from one digit to the next, as a share of their height; ink fills three quarters of it."""
SLANT, STRETCH = 0.2, 0.1
"""Largest shear of a digit, and by which share it may become wider or narrower."""
EDGE = (0.3, 0.6)
"""Ink, 0..1, at which a stroke begins and from which it is opaque: without it upsampled digits would be blurred."""
BACKGROUND, LEVEL = (0, 80), (160, 255)
"""Ranges of the gray levels of the background and of the ink, which is the brighter as in `digits`."""
NOISE = 8.0
"""Standard deviation of the noise, in gray levels."""


def digit_strings(sides: tuple[int, int], channels: int, seed: int) -> ImageData:
    """Return 12,000, 500 and 1,000 strings for train, validation and test, as a sequence.

    Args:
        sides: Height and width in pixels.
        channels: 1 (gray) or 3 (RGB).
        seed: Seed for the splits and the strings.

    Raises:
        InputError: The height is below 16 pixels, or the width below four times the height.
    """
    height, width = sides
    if height < SMALLEST or width < ASPECT * height:
        raise InputError(
            f"digit-strings take a height of {SMALLEST} pixels or more and a width of {ASPECT} times that or more, not "
            f"{height}x{width}."
        )
    splits = []
    for number, (split, part) in enumerate(zip(SPLITS, digit_parts(seed), strict=True)):
        random = np.random.default_rng([seed, number])
        pictures, texts = zip(*(_string(random, part, sides) for _ in range(STRINGS[split])), strict=True)
        pixels = np.stack([np.asarray(Image.fromarray(picture).convert(MODES[channels])) for picture in pictures])
        labels, targets = encode_texts(texts, NAMES)
        targets = np.pad(targets, ((0, 0), (0, LONGEST - targets.shape[1])), constant_values=-1)
        splits.append(ImageSplit(ArrayImages(pixels.reshape(len(pixels), *sides, channels)), targets))
    train, validation, test = splits
    return ImageData("digit-strings", labels, train, validation, test, task="sequence")


def _string(random: np.random.Generator, rows: np.ndarray, sides: tuple[int, int]) -> tuple[np.ndarray, str]:
    """Return a gray picture, uint8, of one to eight of the digits at `rows`, and its text."""
    ink, labels = real_digits()
    height, width = sides
    chosen = random.choice(rows, random.integers(1, LONGEST + 1))
    size = random.uniform(*SIZES) * height
    sizes = np.round(size * random.uniform(1 - STRAYING, 1, len(chosen))).astype(int)
    steps = np.round(sizes[:-1] * random.uniform(*PITCH, len(chosen) - 1)).astype(int)
    lefts = np.concatenate([[0], np.cumsum(steps)])
    if (length := lefts[-1] + sizes[-1]) > width:
        sizes, lefts = ((part * (width / length)).astype(int) for part in (sizes, lefts))
        length = lefts[-1] + sizes[-1]
    lefts += random.integers(width - length + 1)
    covered = np.zeros(sides)
    for row, side, left in zip(chosen, sizes, lefts, strict=True):
        digit = _drawn(random, ink[row], side)
        top = _near_middle(random, height, side)
        box = np.s_[top : top + side, left : left + side]
        covered[box] = np.maximum(covered[box], np.interp(digit / 255, EDGE, (0, 1)))
    background, level = random.uniform(*BACKGROUND), random.uniform(*LEVEL)
    pixels = background + covered * (level - background) + random.normal(0, NOISE, sides)
    return pixels.round().clip(0, 255).astype("uint8"), "".join(str(labels[row]) for row in chosen)


def _drawn(random: np.random.Generator, ink: np.ndarray, side: int) -> np.ndarray:
    """Return the ink of a digit, slanted and stretched, `(side, side)`."""
    slant, stretch = random.uniform(-SLANT, SLANT), random.uniform(1 - STRETCH, 1 + STRETCH)
    middle, step = len(ink) / 2, len(ink) / side
    columns = (step / stretch, slant * step, middle - middle / stretch - slant * middle)  # x in the ink from x and y
    matrix = (*columns, 0, step, 0)
    return np.asarray(Image.fromarray(ink).transform((side, side), Image.Transform.AFFINE, matrix, BICUBIC))


def _near_middle(random: np.random.Generator, height: int, side: int) -> int:
    """Return the first row of a digit that is at most a tenth of the height away from the middle."""
    middle, straying = (height - side) / 2, height / 10
    return int(np.clip(round(middle + random.uniform(-straying, straying)), 0, height - side))
