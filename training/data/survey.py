"""What a dataset is like: how many images of what, how large, how bright, which twice, which broken."""

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...core.outputs import by_name, map_outputs
from .images import ImageData
from .inspection import Inspection, inspect_data, inspect_listing
from .listing import Target
from .sources import list_source, load_data
from .splitting import SPLITS

MADE = ("digits", "digit-scenes")
"""Sources that are no files."""


@dataclass(frozen=True)
class Survey:
    """What `survey` found."""

    source: str
    task: str | dict[str, str]
    """What is to be answered; a dict for several outputs."""
    images: dict[str, int]
    """How many there are by split. Splits that the source has not are those that training would take from train."""
    labels: dict[str, dict[str, float]] | dict[str, dict[str, dict[str, float]]]
    """By class and split, how many images have it (in masks: how many places). Of a regression, by number, the
    smallest, mean and largest of all. By output where there are several."""
    imbalance: float | dict[str, float | None] | None
    """How often the most frequent class of train is there for one of the rarest; None where a class is not there at
    all, and of a regression."""
    sizes: dict[str, tuple[int, int]]
    """Height and width of the smallest, the median and the largest image by area; of files as they are."""
    mean: tuple[float, ...]
    """Of the pixels of the train split, 0..255, by channel; of files at 224x224 in RGB."""
    deviation: tuple[float, ...]
    """Their standard deviation."""
    duplicates: tuple[tuple[str, ...], ...]
    """Images with the same content, each with its split: `"train: photos/cat/1.jpg"`."""
    unreadable: dict[str, str]
    """What is wrong with the files that cannot be used, by name."""

    @property
    def leaked(self) -> tuple[tuple[str, ...], ...]:
        """Those duplicates that are in more than one split: a model would be judged by what it was trained on."""
        return tuple(group for group in self.duplicates if len({name.partition(":")[0] for name in group}) > 1)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain numbers, for JSON."""
        return asdict(self)


def survey(data: str | Path | ImageData, *, seed: int = 0) -> Survey:
    """Looks at every image of a source once. What is wrong with it is counted and named, and does not end the survey.

    Args:
        data: A source as `load_data` takes it, or a dataset that is loaded.
        seed: Of the splits that the source has not.

    Raises:
        InputError: There is no such source, it is not as it should be, or none of its images can be read.
    """
    if not isinstance(data, ImageData) and str(data).partition(":")[0] in MADE:
        data = load_data(data, seed=seed)
    found = inspect_data(data) if isinstance(data, ImageData) else inspect_listing(list_source(data), seed=seed)
    targets = by_name(found.targets)
    labels = {output: _labels(found, output, target) for output, target in targets.items()}
    imbalance = {output: _imbalance(labels[output], target.task) for output, target in targets.items()}
    several = isinstance(found.targets, dict)
    mean, deviation = _brightness(found)
    return Survey(
        source=found.source,
        task=map_outputs(lambda target: target.task, found.targets),
        images={name: int((found.splits == name).sum()) for name in SPLITS},
        labels=labels if several else labels[""],
        imbalance=imbalance if several else imbalance[""],
        sizes=_sizes(found),
        mean=mean,
        deviation=deviation,
        duplicates=_duplicates(found),
        unreadable=found.unreadable,
    )


def _labels(found: Inspection, output: str, target: Target) -> dict[str, dict[str, float]]:
    if target.task == "regression":
        columns = zip(target.labels, target.rows.T, strict=True)
        return {
            name: {"smallest": float(of.min()), "mean": float(of.mean()), "largest": float(of.max())}
            for name, of in columns
        }
    counts = {name: Counter() for name in SPLITS}
    for row, (look, split) in enumerate(zip(found.looks, found.splits, strict=True)):
        match target.task:
            case "classification":
                counts[split][int(target.rows[row])] += 1
            case "multi_label":
                counts[split].update(np.flatnonzero(target.rows[row]).tolist())
            case "segmentation":
                counts[split].update(look.places[output])
    names = target.labels or [str(value) for value in range(1 + max(max(of, default=0) for of in counts.values()))]
    return {name: {split: counts[split][index] for split in SPLITS} for index, name in enumerate(names)}


def _imbalance(labels: dict[str, dict[str, float]], task: str) -> float | None:
    if task == "regression":
        return None
    counts = [of_class["train"] for of_class in labels.values()]
    return max(counts) / min(counts) if min(counts) else None


def _sizes(found: Inspection) -> dict[str, tuple[int, int]]:
    sizes = sorted((tuple(map(int, look.size)) for look in found.looks), key=lambda size: size[0] * size[1])
    return {"smallest": sizes[0], "median": sizes[len(sizes) // 2], "largest": sizes[-1]}


def _brightness(found: Inspection) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Every image counts alike, however large it is."""
    train = [look for look, split in zip(found.looks, found.splits, strict=True) if split == "train"] or found.looks
    mean = np.mean([look.mean for look in train], axis=0)
    deviation = np.sqrt(np.maximum(0, np.mean([look.mean_square for look in train], axis=0) - mean**2))
    return tuple(mean.tolist()), tuple(deviation.tolist())


def _duplicates(found: Inspection) -> tuple[tuple[str, ...], ...]:
    groups = defaultdict(list)
    for look, split in zip(found.looks, found.splits, strict=True):
        groups[look.content].append(f"{split}: {look.name}")
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)
