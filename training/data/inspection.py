"""Statistics of every image of a source, each read once."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

import numpy as np
from PIL import Image

from ...core.errors import InputError
from ...core.outputs import by_name, map_outputs
from ...tasks.registry import get_task
from ...zoo.image_files import Dtype, fit_displayed, fit_values
from ...zoo.pixel_range import Range
from .images import FileImages, ImageData, ImageSplit
from .listing import Listing, Target
from .partition import contradictions, find_strata
from .pixel_format import PixelFormat
from .reading import FileFacts, contents_of, for_each, pixel_format, read_facts
from .splitting import SPLITS, complete_splits

SIDE, CHANNELS = 224, 3
"""Size and channels to which 8-bit files are decoded, the defaults of `load_data`."""


@dataclass(frozen=True)
class ImageStatistics:
    """Statistics of one image."""

    name: str
    content: bytes
    """Hash that is equal for images of the same pixels."""
    size: tuple[int, int]
    """Height and width, for a file as it is stored."""
    mean: np.ndarray
    """Mean of its pixels, by channel."""
    mean_square: np.ndarray
    pixels: dict[str, Counter[int]]
    """Number of pixels by class, for outputs whose targets have a class for each pixel."""
    facts: FileFacts | None = None
    """Of an image in a file."""


@dataclass(frozen=True)
class Inspection:
    """All readable images of a source."""

    source: str
    images: list[ImageStatistics]
    targets: Target | dict[str, Target]
    """Targets in the order of `images`."""
    splits: np.ndarray
    """Split of each image: `"train"`, `"validation"` or `"test"`."""
    unreadable: dict[str, str]
    """What is wrong with the other images and with empty class folders, by name."""
    pixels: PixelFormat
    interpretation: str = ""
    """How a folder was read."""
    contradictions: dict[str, str] = field(default_factory=dict)
    """Images of which a copy is in another class, and what is wrong with them, by name."""


def inspect_listing(listing: Listing, *, seed: int, pixel_range: Range | None = None) -> Inspection:
    """Reads the files of a folder, a table or shards; missing splits are those that training would take from train.

    Raises:
        InputError: None of them can be read, or the range of their pixels is unknown.
    """
    errors: dict[str, str] = {lost.name: str(lost.error) for lost in listing.lost} | listing.empty

    def inspect(row: int) -> ImageStatistics | None:
        try:
            return _inspect_file(listing, row)
        except InputError as error:
            errors[listing.images.name(row)] = str(error)
            return None

    images = for_each(inspect, range(len(listing)), "Reading images")
    if not any(images):
        raise InputError(
            f"{listing.source}: none of {len(errors)} images can be read, first {next(iter(errors.values()))}"
        )
    readable = np.array([row for row, image in enumerate(images) if image], int)
    usable, kept = listing.at(readable), [images[row] for row in readable]
    facts = [image.facts for image in kept]
    contents = contents_of(facts)
    pixels = pixel_format(facts, listing, dtype=None, pixel_range=pixel_range)
    strata = find_strata(usable.targets)
    rows = complete_splits(
        usable.splits,
        np.zeros(len(kept), int) if strata is None else strata.rows,
        contents,
        missing=listing.missing,
        seed=seed,
    )
    splits = np.empty(len(kept), object)
    for name, in_split in rows.items():
        splits[in_split] = name
    contradictory = contradictions(usable, contents, range(len(usable)))
    return Inspection(
        listing.source,
        [_in_format(image, pixels) for image in kept],
        usable.targets,
        splits,
        dict(sorted(errors.items())),
        pixels,
        " ".join(filter(None, (listing.interpretation, pixels.note))),
        {lost.name: str(lost.error) for lost in contradictory.values()},
    )


def _inspect_file(listing: Listing, row: int) -> ImageStatistics:
    name, encoded = listing.images.name(row), listing.images.read(row)
    facts, values = read_facts(encoded, name)
    if facts.dtype == "uint8" and facts.bands in (1, CHANNELS):
        pixels = fit_displayed(encoded, values, name, height=SIDE, width=SIDE)
    else:
        kept: Dtype = "uint16" if facts.dtype == "uint16" else "uint8" if facts.dtype == "uint8" else "float32"
        pixels = fit_values(values, name, height=SIDE, width=SIDE, channels=facts.bands, dtype=kept)
    counts = {}
    for output, target in by_name(listing.targets).items():
        if target.in_files:
            decoded = target.decode(row)
            target.check_file(decoded, row, values.shape[:2])
            if get_task(target.task).class_unit == "pixels":
                counts[output] = _count_values(decoded, target.ignore)
    return replace(_statistics(name, facts.pixels, values.shape[:2], pixels, counts), facts=facts)


def _in_format(image: ImageStatistics, pixels: PixelFormat) -> ImageStatistics:
    """Return the statistics of a 16-bit image among those of 8 bits in the unit and number of channels of these."""
    if image.facts is None or pixels.dtype != "uint8" or image.facts.dtype == "uint8":
        return image
    mean, mean_square = (np.broadcast_to(values, CHANNELS) for values in (image.mean, image.mean_square))
    return replace(image, mean=mean / 257, mean_square=mean_square / 257**2)


def inspect_data(data: ImageData) -> Inspection:
    """Reads the images of a dataset as training reads them."""
    images: list[ImageStatistics] = []
    for name in SPLITS:
        split = getattr(data, name)
        images += for_each(partial(_inspect_row, split), range(len(split)), f"Reading {name}")
    splits = np.repeat(np.array(SPLITS, object), [len(getattr(data, name)) for name in SPLITS])
    skipped = dict.fromkeys(data.skipped, "It was skipped.")
    pixels = PixelFormat(cast(Dtype, data.dtype), data.pixel_range)
    return Inspection(data.source, images, _targets(data), splits, skipped, pixels, data.interpretation)


def _inspect_row(split: ImageSplit, row: int) -> ImageStatistics:
    pixels = split.images.take(np.array([row]))[0]
    name = split.images.files.name(row) if isinstance(split.images, FileImages) else str(row)
    tasks = by_name(split.tasks)
    counts = {
        output: _count_values(targets[np.array([row])], split.ignore)
        for output, targets in by_name(split.labels).items()
        if get_task(tasks[output]).class_unit == "pixels"
    }
    height, width = (1, *pixels.shape[:-1])[-2:]  # a signal has one row
    return _statistics(name, hashlib.sha256(pixels).digest(), (height, width), pixels, counts)


def _targets(data: ImageData) -> Target | dict[str, Target]:
    parts = [getattr(data, name).labels for name in SPLITS]

    def joined(task: str, labels: tuple[str, ...], *rows: Any) -> Target:
        # The pixels of masks are counted already, and targets in files are not needed for anything else.
        in_memory = all(isinstance(part, np.ndarray) for part in rows)
        keep = in_memory and get_task(task).class_unit != "pixels"
        return Target(task, labels, np.concatenate(rows) if keep else np.zeros(0))

    return map_outputs(joined, data.task, data.labels, *parts)


def _statistics(
    name: str, content: bytes, size: tuple[int, int], pixels: np.ndarray, counts: dict[str, Counter[int]]
) -> ImageStatistics:
    return ImageStatistics(name, content, size, *_moments(pixels), counts)


def _moments(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and the mean square of each band."""
    is_picture = pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[-1] in (1, 3)
    if is_picture:  # Pillow counts values 20 times as fast
        counts = np.array(Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).histogram())
        shares = counts.reshape(-1, 256) / (pixels.shape[0] * pixels.shape[1])
        return shares @ np.arange(256.0), shares @ np.arange(256.0) ** 2
    values = pixels.reshape(-1, pixels.shape[-1]).astype("float64")
    return values.mean(axis=0), (values**2).mean(axis=0)


def _count_values(mask: np.ndarray, ignore: int | None) -> Counter[int]:
    counts = dict(zip(*(found.tolist() for found in np.unique(mask, return_counts=True)), strict=True))
    counts.pop(ignore, None)
    return Counter(counts)
