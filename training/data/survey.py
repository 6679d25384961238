"""Statistics of a dataset: images by class and split, sizes, brightness, duplicates and unreadable files."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...core.arguments import Seed, check_arguments
from ...core.outputs import by_name, map_outputs
from ...core.short_repr import ShortRepr
from ...tasks.registry import get_task
from ...zoo.pixel_range import RAW
from .built_in import is_built_in
from .folders import Layout
from .images import ImageData
from .inspection import Inspection, inspect_data, inspect_listing
from .listing import Target
from .signal_sources import has_signals
from .sources import list_source, load_data
from .splitting import SPLITS


@dataclass(frozen=True)
class Survey(ShortRepr):
    """Result of `survey`."""

    source: str
    task: str | dict[str, str]
    """Name of the task; a dict for several outputs."""
    images: dict[str, int]
    """Number of images by split. Splits that the source does not have are those that training would take from train."""
    labels: dict[str, dict[str, float]] | dict[str, dict[str, dict[str, float]]]
    """Number of images (in masks: of pixels) by class and split. For a regression, smallest, mean and largest value by
    name. By output where there are several."""
    imbalance: float | dict[str, float | None] | None
    """Ratio of the most frequent class of train to the rarest; None where a class does not occur, and for a
    regression."""
    sizes: dict[str, tuple[int, int]]
    """Height and width of the smallest, the median and the largest image by area; for files as they are stored."""
    mean: tuple[float, ...]
    """Mean of the pixels of the train split, by channel, in the unit of `pixel_range`; for files at 224x224, in RGB
    where they have 8 bits."""
    deviation: tuple[float, ...]
    """Their standard deviation."""
    duplicates: tuple[tuple[str, ...], ...]
    """Images with the same content, each with its split: `"train: photos/cat/1.jpg"`."""
    unreadable: dict[str, str]
    """What is wrong with each file or class folder that cannot be used, by name."""
    interpretation: str = ""
    """How a folder and its pixels were read, in sentences; empty for sources whose form states what they are."""
    contradictions: dict[str, str] = field(default_factory=dict)
    """Images of which a copy is in another class, by name: what is wrong with each."""
    dtype: str = "uint8"
    """Dtype of the images: `"uint8"`, `"uint16"` or `"float32"`."""
    pixel_range: tuple[float, float] = RAW
    """Lowest and highest value that pixels may have."""

    @property
    def leaked(self) -> tuple[tuple[str, ...], ...]:
        """Duplicates that are in more than one split: a model would be evaluated on its training images."""
        return tuple(group for group in self.duplicates if len({name.partition(":")[0] for name in group}) > 1)

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as plain numbers, for JSON."""
        return asdict(self)


@check_arguments
def survey(
    data: str | Path | ImageData,
    *,
    seed: Seed = 0,
    layout: Layout | None = None,
    pixel_range: tuple[float, float] | None = None,
    ignore: int | None = None,
) -> Survey:
    """Return the statistics of all images of a source. Unreadable images are listed and do not end the survey.

    Args:
        data: A source, as in `load_data`, or a loaded dataset.
        seed: Seed for the splits that the source does not have.
        layout: What the subfolders of a folder are, as in `load_data`.
        pixel_range: Range of pixels that are not uint8, as in `load_data`.
        ignore: Label of the pixels of masks that have no class and are not counted, as in `load_data`.

    Raises:
        InputError: There is no such source, it is invalid, or none of its images can be read.
    """
    if not isinstance(data, ImageData) and (is_built_in(data) or has_signals(data)):
        data = load_data(data, seed=seed, layout=layout, ignore=ignore)
    if isinstance(data, ImageData):
        found = inspect_data(data)
    else:
        listing = list_source(data, layout).with_ignore(ignore)
        found = inspect_listing(listing, seed=seed, pixel_range=pixel_range)
    targets = by_name(found.targets)
    labels = {output: _labels(found, output, target) for output, target in targets.items()}
    imbalance = {output: _imbalance(labels[output], target) for output, target in targets.items()}
    several = isinstance(found.targets, dict)
    mean, deviation = _brightness(found)
    return Survey(
        source=found.source,
        task=map_outputs(lambda target: target.task, found.targets),
        images={name: int((found.splits == name).sum()) for name in SPLITS},
        labels=labels if several else labels[""],
        imbalance=imbalance if several else imbalance[""],
        sizes=extreme_sizes(image.size for image in found.images),
        mean=mean,
        deviation=deviation,
        duplicates=_duplicates(found),
        unreadable=found.unreadable,
        interpretation=found.interpretation,
        contradictions=found.contradictions,
        dtype=found.pixels.dtype,
        pixel_range=found.pixels.pixel_range,
    )


def _labels(found: Inspection, output: str, target: Target) -> dict[str, dict[str, float]]:
    if get_task(target.task).class_unit != "pixels":
        return count_labels(target, found.splits, SPLITS)
    pixels: dict[str, Counter[int]] = {split: Counter() for split in SPLITS}
    for image, split in zip(found.images, found.splits, strict=True):
        pixels[split].update(image.pixels[output])
    occurring = sorted(set().union(*pixels.values()))
    names = dict(enumerate(target.labels)) if target.labels else {value: str(value) for value in occurring}
    return {name: {split: pixels[split][value] for split in SPLITS} for value, name in names.items()}


def count_labels(target: Target, splits: np.ndarray, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return the number of images by class and split, or statistics of values by name; not for masks.

    Args:
        target: Targets of an output.
        splits: Split of each image, of `names`.
        names: The splits.
    """
    task, labels = get_task(target.task), target.labels or ()
    if task.class_unit is None:
        return task.value_statistics(target.rows, labels)
    counts = {split: task.class_counts(target.rows[splits == split], len(labels)).tolist() for split in names}
    return {label: {split: counts[split][index] for split in names} for index, label in enumerate(labels)}


def _imbalance(labels: dict[str, dict[str, float]], target: Target) -> float | None:
    if get_task(target.task).class_unit is None:
        return None
    counts = [by_split["train"] for by_split in labels.values()]
    return max(counts) / min(counts) if min(counts) else None


def extreme_sizes(sizes: Iterable[tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """Return the smallest, the median and the largest height and width, by area."""
    by_area = sorted(((int(height), int(width)) for height, width in sizes), key=lambda size: size[0] * size[1])
    return {"smallest": by_area[0], "median": by_area[len(by_area) // 2], "largest": by_area[-1]}


def _brightness(found: Inspection) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of the pixels by channel; every image counts the same, whatever its size."""
    train = [image for image, split in zip(found.images, found.splits, strict=True) if split == "train"] or found.images
    mean = np.mean([image.mean for image in train], axis=0)
    deviation = np.sqrt(np.maximum(0, np.mean([image.mean_square for image in train], axis=0) - mean**2))
    return tuple(mean.tolist()), tuple(deviation.tolist())


def _duplicates(found: Inspection) -> tuple[tuple[str, ...], ...]:
    groups = defaultdict(list)
    for image, split in zip(found.images, found.splits, strict=True):
        groups[image.content].append(f"{split}: {image.name}")
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)
