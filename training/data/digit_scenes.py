"""Several real digits on natural backgrounds: scenes to segment, to label and to count, made from what is always there.

The digits are scikit-learn's, in random sizes, places and colours; the backgrounds are crops of its two sample photos.
Digits and backgrounds of train, validation and test come from disjoint sets of digits and disjoint parts of the photos.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

from ...core.errors import InputError, unknown
from ...zoo.image_files import MODES
from .digits import NAMES, digit_parts, real_digits
from .images import ArrayImages, ImageData, ImageSplit
from .splitting import SPLITS

SCENES = {"train": 2000, "validation": 200, "test": 400}
STRIPS = {"train": (0.0, 0.6), "validation": (0.6, 0.75), "test": (0.75, 1.0)}
"""From where to where, as shares of a photo's width, backgrounds come from."""
MOST = 5
"""Digits in a scene; the least is one."""
SMALLEST = 16
"""Pixels a side on which digits can still be told apart."""
SIZES = (0.35, 0.55)
"""Height of a digit, as a share of the scene's smaller side."""
EDGE = (0.3, 0.6)
"""Ink, 0..1, at which a stroke begins and from which on it covers all: without it enlarged digits would be blurred."""
LABELS = {"segmentation": ("background", *NAMES), "multi_label": NAMES, "count": ("digits",)}
TASKS = {"segmentation": "segmentation", "multi_label": "multi_label", "count": "regression"}


@dataclass(frozen=True)
class Scene:
    """A picture, uint8 `(height, width, 3)`, and its mask, int32 `(height, width)`: 0, or a digit plus one."""

    pixels: np.ndarray
    mask: np.ndarray
    digits: list[int]


def digit_scenes(asked: str, sides: tuple[int, int], channels: int, seed: int) -> ImageData:
    """2,000, 200 and 400 scenes for train, validation and test.

    Args:
        asked: What is to be answered: `"segmentation"`, of background and ten digits; `"multi_label"`, which digits are
            there; `"count"`, how many (a regression); `"all"` three, as outputs of these names.
        sides: Height and width in pixels.
        channels: 1 (grey) or 3 (RGB).
        seed: Of everything.

    Raises:
        InputError: `asked` is none of these, or a side has less than 16 pixels.
    """
    if asked not in (*TASKS, "all"):
        raise unknown("answer to digit-scenes", asked, (*TASKS, "all"))
    if min(sides) < SMALLEST:
        raise InputError(f"digit-scenes take {SMALLEST} pixels a side or more, not {sides[0]}x{sides[1]}.")

    def chosen(by_answer: dict):
        return by_answer if asked == "all" else by_answer[asked]

    splits = []
    for number, (split, part) in enumerate(zip(SPLITS, digit_parts(seed), strict=True)):
        draw = np.random.default_rng([seed, number])
        photos = _strips(*STRIPS[split])
        scenes = [_scene(draw, part, photos, sides) for _ in range(SCENES[split])]
        pixels = np.stack([np.asarray(Image.fromarray(scene.pixels).convert(MODES[channels])) for scene in scenes])
        images = ArrayImages(pixels.reshape(len(scenes), *sides, channels))
        splits.append(ImageSplit(images, chosen(_targets(scenes))))
    return ImageData("digit-scenes", chosen(LABELS), *splits, task=chosen(TASKS))


def _targets(scenes: list[Scene]) -> dict[str, np.ndarray]:
    return {
        "segmentation": np.stack([scene.mask for scene in scenes]),
        "multi_label": np.array([np.isin(range(10), scene.digits) for scene in scenes], "float32"),
        "count": np.array([[len(scene.digits)] for scene in scenes], "float32"),
    }


def _strips(start: float, end: float) -> list[Image.Image]:
    photos = map(Image.fromarray, load_sample_images().images)
    return [photo.crop((round(start * photo.width), 0, round(end * photo.width), photo.height)) for photo in photos]


def _scene(draw: np.random.Generator, rows: np.ndarray, photos: list[Image.Image], sides: tuple[int, int]) -> Scene:
    """One to five of the digits at `rows` on a background, none on another."""
    ink, labels = real_digits()
    pixels = _background(draw, photos, sides).astype("float32")
    mask = np.zeros(sides, "int32")
    digits = []
    for box, row in zip(_places(draw, sides), draw.choice(rows, MOST, replace=False), strict=False):
        size = box[0].stop - box[0].start
        inked = np.asarray(Image.fromarray(ink[row]).resize((size, size), Image.Resampling.BICUBIC))
        share = np.interp(inked / 255, EDGE, (0, 1))
        covered = share[..., np.newaxis]
        pixels[box] = (1 - covered) * pixels[box] + covered * _colour(draw, pixels[box].mean())
        mask[box][share > 0.5] = labels[row] + 1
        digits.append(int(labels[row]))
    return Scene(np.round(pixels).astype("uint8"), mask, digits)


def _background(draw: np.random.Generator, photos: list[Image.Image], sides: tuple[int, int]) -> np.ndarray:
    """A square crop of one of them, of a random size, mirrored or not."""
    photo = photos[draw.integers(len(photos))]
    side = draw.integers(48, min(photo.size) + 1)
    left, top = (draw.integers(length - side + 1) for length in photo.size)
    crop = photo.resize(sides[::-1], Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))
    return np.asarray(crop)[:, :: draw.choice([-1, 1])]


def _places(draw: np.random.Generator, sides: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
    """One to five boxes that do not overlap; a box that finds no room in ten tries is left out."""
    taken = np.zeros(sides, bool)
    for _ in range(draw.integers(1, MOST + 1)):
        size = round(draw.uniform(*SIZES) * min(sides))
        for _ in range(10):
            top, left = (draw.integers(side - size + 1) for side in sides)
            box = np.s_[top : top + size, left : left + size]
            if not taken[box].any():
                taken[box] = True
                yield box
                break


def _colour(draw: np.random.Generator, behind: float) -> np.ndarray:
    """The one of ten random colours that stands out most from the brightness `behind` it, 0..255."""
    colours = draw.uniform(0, 255, (10, 3))
    return colours[np.abs(colours.mean(axis=1) - behind).argmax()]
