"""An evaluation as files: the figures, and pictures of what goes wrong."""

import csv
import json
from pathlib import Path

import keras
import numpy as np

from ...core.atomic_files import atomic_path
from ...core.outputs import by_name, map_outputs
from ..data.images import FileImages, ImageData, ImageSplit, Targets
from .answers import Answers, Artifact
from .classification import Evaluation
from .evaluate import split_of, tally
from .figures import Figures
from .pictures import plot_confusion, plot_reliability, save_picture
from .segmentation import SegmentationEvaluation
from .tallies import Tally
from .worst import plot_worst

WORST = 24
"""Images on the sheet."""


def write_report(
    model: keras.Model | Artifact,
    data: ImageData | ImageSplit,
    folder: str | Path,
    *,
    batch_size: int = 32,
    test_time_augmentation: str | None = None,
) -> Figures | dict[str, Figures]:
    """Evaluates a model, and writes what was found into `folder`.

    `evaluation.json` has the figures. `confusion.csv` and `confusion.png` have the answers by true class, of a
    classification or a segmentation; `calibration.png` how often a classification is right by how sure it is.
    `worst.png` has the 24 images that are answered worst: first the classes that are wrong and sure, the labels that
    cost the most cross-entropy, the numbers that are the farthest off, or the masks with the lowest IoU; `worst.json`
    has their files, or their numbers in the split. What belongs to one of several outputs is in a folder by the
    output's name.

    Arguments, answer and errors are those of `evaluate`.
    """
    folder = Path(folder)
    answer = Answers(model, test_time_augmentation)
    tallies = tally(answer, model, data, batch_size)
    evaluation = map_outputs(lambda tally: tally.figures(), tallies)
    targets = by_name(split_of(data).labels)
    for name, of_output in by_name(tallies).items():
        _draw_figures(by_name(evaluation)[name], of_output.names, folder / name)
        _draw_worst(name, of_output, answer, split_of(data), targets[name], folder / name)
    with atomic_path(folder / "evaluation.json") as path:
        facts = map_outputs(lambda figures: figures.to_dict(), evaluation)
        path.write_text(json.dumps(facts, indent=1, allow_nan=False), encoding="utf-8")
    return evaluation


def _draw_figures(figures: Figures, names: list[str], folder: Path) -> None:
    if isinstance(figures, Evaluation | SegmentationEvaluation):
        save_picture(plot_confusion(figures.confusion, names), folder / "confusion.png")
        _write_confusion(figures.confusion, names, folder / "confusion.csv")
    if isinstance(figures, Evaluation):
        save_picture(plot_reliability(figures.reliability, figures.calibration_error), folder / "calibration.png")


def _write_confusion(confusion: np.ndarray, names: list[str], path: Path) -> None:
    """A row by true class, a column by answer."""
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["true", *names])
        rows.writerows([name, *counts] for name, counts in zip(names, confusion.tolist(), strict=True))


def _draw_worst(name: str, tally: Tally, answer: Answers, split: ImageSplit, targets: Targets, folder: Path) -> None:
    rows = np.argsort(-tally.wrongness(), kind="stable")[:WORST]
    images = split.images.take(rows)
    answers = by_name(answer(images.astype("float32")))[name]
    called = [_name(split, row) for row in rows]
    save_picture(plot_worst(tally.task, images, targets[rows], answers, tally.names, called), folder / "worst.png")
    with atomic_path(folder / "worst.json") as path:
        path.write_text(json.dumps(called, indent=1), encoding="utf-8")


def _name(split: ImageSplit, row: int) -> str:
    return str(split.images.files.name(row)) if isinstance(split.images, FileImages) else f"image {row}"
