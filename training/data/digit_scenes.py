"""Several real digits on natural backgrounds: scenes to segment, to label and to count, without a download.

The digits are scikit-learn's, in random sizes, positions and colors; the backgrounds are crops of its two sample
photos. Digits and backgrounds of train, validation and test come from disjoint sets of digits and disjoint parts of the
photos.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

from ...core.errors import InputError, unknown
from ...tasks.object_targets import padded
from ...zoo.image_files import MODES
from .digits import NAMES, digit_parts, real_digits
from .images import ArrayImages, ImageData, ImageSplit
from .splitting import SPLITS

SCENES = {"train": 2000, "validation": 200, "test": 400}
STRIPS = {"train": (0.0, 0.6), "validation": (0.6, 0.75), "test": (0.75, 1.0)}
"""Horizontal range of a photo that backgrounds are cropped from, as shares of its width."""
MOST = 5
"""Largest number of digits in a scene; the smallest is one."""
SMALLEST = 16
"""Smallest side in pixels on which digits can still be distinguished."""
SIZES = (0.35, 0.55)
"""Range of the height of a digit, as a share of the scene's smaller side."""
EDGE = (0.3, 0.6)
"""Ink, 0..1, at which a stroke begins and from which it is opaque: without it upsampled digits would be blurred."""
LABELS = {
    "segmentation": ("background", *NAMES),
    "multi_label": NAMES,
    "count": ("digits",),
    "detection": NAMES,
    "counting": ("digits",),
}
TASKS = {
    "segmentation": "segmentation",
    "multi_label": "multi_label",
    "count": "regression",
    "detection": "detection",
    "counting": "counting",
}

ALL = ("segmentation", "multi_label", "count")
"""Targets of `"all"`."""


@dataclass(frozen=True)
class Scene:
    """A picture, uint8 `(height, width, 3)`, and its mask, int32 `(height, width)`: 0, or a digit plus one."""

    pixels: np.ndarray
    mask: np.ndarray
    digits: list[int]
    boxes: list[tuple[float, ...]]
    """Left, top, right and bottom of the ink of each digit, as shares of width and height, and the digit."""


def digit_scenes(targets: str, sides: tuple[int, int], channels: int, seed: int) -> ImageData:
    """Return 2,000, 200 and 400 scenes for train, validation and test.

    Args:
        targets: `"segmentation"` into background and ten digits; `"multi_label"`, the digits that are present;
            `"count"`, their number (a regression); `"all"` three, as outputs of these names. `"detection"`, boxes
            around them, and `"counting"`, their middles, are alone.
        sides: Height and width in pixels.
        channels: 1 (gray) or 3 (RGB).
        seed: Seed for the splits and the scenes.

    Raises:
        InputError: There are no such targets, or a side has less than 16 pixels.
    """
    check_targets(targets)
    if min(sides) < SMALLEST:
        raise InputError(f"digit-scenes take {SMALLEST} pixels a side or more, not {sides[0]}x{sides[1]}.")

    def chosen(by_target: dict[str, Any]) -> Any:
        return {name: by_target[name] for name in ALL} if targets == "all" else by_target[targets]

    splits = []
    for number, (split, part) in enumerate(zip(SPLITS, digit_parts(seed), strict=True)):
        random = np.random.default_rng([seed, number])
        photos = _strips(*STRIPS[split])
        scenes = [_scene(random, part, photos, sides) for _ in range(SCENES[split])]
        pixels = np.stack([np.asarray(Image.fromarray(scene.pixels).convert(MODES[channels])) for scene in scenes])
        images = ArrayImages(pixels.reshape(len(scenes), *sides, channels))
        splits.append(ImageSplit(images, chosen(_targets(scenes))))
    train, validation, test = splits
    return ImageData("digit-scenes", chosen(LABELS), train, validation, test, task=chosen(TASKS))


def check_targets(targets: str) -> None:
    """Raise InputError where there are no such targets."""
    if targets not in (*TASKS, "all"):
        raise unknown("targets of digit-scenes", targets, (*TASKS, "all"))


def _targets(scenes: list[Scene]) -> dict[str, np.ndarray]:
    return {
        "segmentation": np.stack([scene.mask for scene in scenes]),
        "multi_label": np.array([np.isin(range(10), scene.digits) for scene in scenes], "float32"),
        "count": np.array([[len(scene.digits)] for scene in scenes], "float32"),
        "detection": padded([np.array(scene.boxes) for scene in scenes], MOST),
        "counting": padded([_middles(scene) for scene in scenes], MOST, values=3),
    }


def _middles(scene: Scene) -> np.ndarray:
    """Return x and y of the middle of each digit, as shares of width and height, and the class 0, `(digits, 3)`."""
    boxes = np.array(scene.boxes)
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:4]) / 2, np.zeros((len(boxes), 1))], axis=1)


def _strips(start: float, end: float) -> list[Image.Image]:
    photos = map(Image.fromarray, load_sample_images().images)
    return [photo.crop((round(start * photo.width), 0, round(end * photo.width), photo.height)) for photo in photos]


def _scene(random: np.random.Generator, rows: np.ndarray, photos: list[Image.Image], sides: tuple[int, int]) -> Scene:
    """Return one to five of the digits at `rows` on a background, none on another."""
    ink, labels = real_digits()
    pixels = _background(random, photos, sides).astype("float32")
    mask = np.zeros(sides, "int32")
    digits, boxes = list[int](), list[tuple[float, ...]]()
    for box, row in zip(_boxes(random, sides), random.choice(rows, MOST, replace=False), strict=False):
        size = box[0].stop - box[0].start
        inked = np.asarray(Image.fromarray(ink[row]).resize((size, size), Image.Resampling.BICUBIC))
        share = np.interp(inked / 255, EDGE, (0, 1))
        covered = share[..., np.newaxis]
        pixels[box] = (1 - covered) * pixels[box] + covered * _color(random, pixels[box].mean())
        mask[box][share > 0.5] = labels[row] + 1
        digits.append(int(labels[row]))
        boxes.append((*_edges_of(share > 0.5, box, sides), float(labels[row])))
    return Scene(np.round(pixels).astype("uint8"), mask, digits, boxes)


def _edges_of(ink: np.ndarray, box: tuple[slice, slice], sides: tuple[int, int]) -> list[float]:
    """Return left, top, right and bottom edge of the ink in a box of the scene, as shares of width and height."""
    edges = []
    for axis in (1, 0):
        inked = np.flatnonzero(ink.any(axis=1 - axis))
        edges.append([(box[axis].start + end) / sides[axis] for end in (inked[0], inked[-1] + 1)])
    return [*(low for low, _ in edges), *(high for _, high in edges)]


def _background(random: np.random.Generator, photos: list[Image.Image], sides: tuple[int, int]) -> np.ndarray:
    """Return a square crop of one of the photos, of a random size, mirrored or not."""
    photo = photos[random.integers(len(photos))]
    side = random.integers(48, min(photo.size) + 1)
    left, top = (random.integers(length - side + 1) for length in photo.size)
    crop = photo.resize(sides[::-1], Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))
    return np.asarray(crop)[:, :: random.choice([-1, 1])]


def _boxes(random: np.random.Generator, sides: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
    """Return one to five boxes that do not overlap; a box for which ten random positions are taken is left out."""
    taken = np.zeros(sides, bool)
    for _ in range(random.integers(1, MOST + 1)):
        size = round(random.uniform(*SIZES) * min(sides))
        for _ in range(10):
            top, left = (random.integers(side - size + 1) for side in sides)
            box = np.s_[top : top + size, left : left + size]
            if not taken[box].any():
                taken[box] = True
                yield box
                break


def _color(random: np.random.Generator, background: float) -> np.ndarray:
    """Return one of ten random colors, the one that contrasts most with the brightness of the background, 0..255."""
    colors = random.uniform(0, 255, (10, 3))
    return colors[np.abs(colors.mean(axis=1) - background).argmax()]
