"""Real handwritten digits with and without defects, and masks of these: anomalies to detect, without a download.

Good images are scikit-learn's fours, in random sizes, positions and gray levels, under noise. Defects are painted on
them: a scratch, a blob of ink beside the stroke, or a gap in it. All training images are good. Digits of train,
validation and test come from disjoint sets.
"""

import numpy as np
from PIL import Image, ImageDraw

from ...core.errors import InputError
from ...zoo.image_files import MODES
from .digits import digit_parts, real_digits
from .images import ArrayImages, ImageData, ImageSplit
from .splitting import SPLITS

LABELS = ("good", "scratch", "blob", "gap")
GOOD, OF_EACH_DEFECT = {"train": 400, "validation": 60, "test": 150}, {"train": 0, "validation": 20, "test": 50}
"""Number of images in each split: good ones, and those with each of the defects."""
DIGIT = 4
SMALLEST = 32
"""Smallest side in pixels on which the defects can be seen."""
SIZES, STRAYING = (0.75, 0.9), 0.03
"""Range of the height of a digit, and how far it may be from the middle, as shares of the smaller side."""
EDGE = (0.3, 0.6)
"""Ink, 0..1, at which a stroke begins and from which it is opaque: without it upsampled digits would be blurred."""
BACKGROUND, LEVEL, NOISE = (0, 40), (190, 255), 6.0
"""Ranges of the gray levels of background and ink, and the standard deviation of the noise."""
WIDTHS, LENGTHS, RADII = (0.06, 0.09), (0.4, 0.8), (0.1, 0.15)
"""Ranges of the width and length of scratches, and of the radius of blobs and gaps, as shares of the smaller side."""
VISIBLE, CHANGED = 0.015, 0.3
"""Share of the pixels that a defect changes at least, and by how much of the ink a pixel is in the mask."""


def digit_defects(sides: tuple[int, int], channels: int, seed: int) -> ImageData:
    """Return 400 good images for training, 120 for validation and 300 for the test, half of which have a defect.

    Args:
        sides: Height and width in pixels.
        channels: 1 (gray) or 3 (RGB).
        seed: Seed for the splits, digits and defects.

    Raises:
        InputError: A side has less than 32 pixels.
    """
    if min(sides) < SMALLEST:
        raise InputError(f"digit-defects take {SMALLEST} pixels a side or more, not {sides[0]}x{sides[1]}.")
    _, digits = real_digits()
    splits = []
    for number, (split, part) in enumerate(zip(SPLITS, digit_parts(seed), strict=True)):
        random = np.random.default_rng([seed, number])
        numbers = [GOOD[split], *[OF_EACH_DEFECT[split]] * (len(LABELS) - 1)]
        kinds = random.permutation(np.repeat(np.arange(len(LABELS)), numbers))
        rows = part[digits[part] == DIGIT]
        pictures, masks = zip(*(_picture(random, rows, sides, kind) for kind in kinds), strict=True)
        pixels = np.stack([np.asarray(Image.fromarray(picture).convert(MODES[channels])) for picture in pictures])
        splits.append(ImageSplit(ArrayImages(pixels.reshape(len(pixels), *sides, channels)), np.stack(masks)))
    train, validation, test = splits
    return ImageData("digit-defects", LABELS, train, validation, test, task="anomaly")


def _picture(
    random: np.random.Generator, rows: np.ndarray, sides: tuple[int, int], kind: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return a gray picture, uint8, with one of the digits at `rows`, and its mask, int32: `kind` where a defect is."""
    covered = _ink(random, rows, sides)
    mask = np.zeros(sides, "int32")
    if kind:
        changed = np.zeros(sides, bool)
        while changed.mean() < VISIBLE:
            drawn = _defect(random, covered, LABELS[kind])
            changed = np.abs(drawn - covered) > CHANGED
        covered, mask[changed] = drawn, kind
    background, level = random.uniform(*BACKGROUND), random.uniform(*LEVEL)
    pixels = background + covered * (level - background) + random.normal(0, NOISE, sides)
    return pixels.round().clip(0, 255).astype("uint8"), mask


def _ink(random: np.random.Generator, rows: np.ndarray, sides: tuple[int, int]) -> np.ndarray:
    """Return how much of each pixel a digit near the middle covers, 0..1."""
    ink, _ = real_digits()
    size = round(random.uniform(*SIZES) * min(sides))
    straying = round(STRAYING * min(sides))
    top, left = ((side - size) // 2 + random.integers(-straying, straying + 1) for side in sides)
    digit = Image.fromarray(ink[random.choice(rows)]).resize((size, size), Image.Resampling.BICUBIC)
    covered = np.zeros(sides)
    covered[top : top + size, left : left + size] = np.interp(np.asarray(digit) / 255, EDGE, (0, 1))
    return covered


def _defect(random: np.random.Generator, covered: np.ndarray, kind: str) -> np.ndarray:
    """Return the ink with a scratch or a blob added, or with a gap."""
    height, width = covered.shape
    side = min(covered.shape)
    shape = Image.new("L", (width, height))
    draw = ImageDraw.Draw(shape)
    if kind == "scratch":
        x, y = random.uniform(0.2, 0.8, 2) * (width, height)
        angle, half = random.uniform(0, np.pi), random.uniform(*LENGTHS) * side / 2
        across, down = half * np.cos(angle), half * np.sin(angle)
        line_width = max(1, round(random.uniform(*WIDTHS) * side))
        draw.line([(x - across, y - down), (x + across, y + down)], fill=255, width=line_width)
    else:
        inked = np.argwhere((covered > 0.8) == (kind == "gap"))
        y, x = inked[random.integers(len(inked))]
        radius = random.uniform(*RADII) * side
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=255)
    painted = np.asarray(shape) / 255
    return covered * (1 - painted) if kind == "gap" else np.maximum(covered, painted)
