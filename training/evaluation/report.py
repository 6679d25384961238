"""An evaluation as files: the metrics, and pictures of the mistakes."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from ...core.arguments import Count, check_arguments
from ...core.atomic_files import atomic_path, remove_abandoned
from ...core.csv_tables import write_csv
from ...core.outputs import Flags, LabelNames, PixelRange, TaskNames, by_name, map_outputs
from ...core.pictures import save_figure
from ...tasks.accumulator import Accumulator
from ...tasks.evaluation import BaseEvaluation
from ...tasks.registry import get_task
from ...tasks.task import Task
from ...zoo.model_arguments import accepts_any_model
from ..compatibility import describe_model
from ..data.accepted_data import accepts_any_data
from ..data.images import ImageData, ImageSplit
from ..data.pipeline import evaluation_batches
from ..data.pixel_format import displayable
from ..data.signal_pictures import as_drawn_maps, as_pictures
from .artifacts import state_of_artifact
from .evaluate import accumulate, as_arrays, split_of
from .predictor import Artifact, Predictor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WORST = 24
"""Images on the sheet of the worst."""


@accepts_any_data("split")
@check_arguments
@accepts_any_model
def write_report(
    model: keras.Model | Artifact,
    data: ImageData | ImageSplit,
    folder: str | Path,
    *,
    batch_size: Count = 32,
    test_time_augmentation: str | None = None,
    task: TaskNames | None = None,
    labels: LabelNames | None = None,
    pixels: PixelRange | None = None,
    from_logits: Flags | None = None,
) -> BaseEvaluation | dict[str, BaseEvaluation]:
    """Evaluates a model and writes the results into `folder`.

    `evaluation.json` has the metrics. `confusion.csv` and `confusion.png` have the predictions by true class, for a
    classification or a segmentation; `calibration.png` has accuracy by confidence, for a classification. `worst.png`
    has the 24 worst images: the most confident wrong classes, the labels of highest cross-entropy, the values that are
    farthest off, or the masks of lowest IoU; `worst.json` has their files, or their numbers in the split. With several
    outputs, each has a folder of its name.

    Arguments, result and errors are those of `evaluate`.
    """
    statements: dict[str, Any] = {"task": task, "labels": labels, "pixels": pixels, "from_logits": from_logits}
    if isinstance(model, keras.Model):
        describe_model(model, data, **statements, verbose=True)
    else:
        model = state_of_artifact(model, data, **statements)
    folder = Path(folder)
    predictor = Predictor(model, test_time_augmentation)
    tasks, accumulators = accumulate(predictor, model, data, batch_size)
    evaluation = map_outputs(lambda accumulator: accumulator.evaluation(), accumulators)
    for part in {folder, *(folder / name for name in by_name(tasks))}:
        if part.is_dir():
            remove_abandoned(part)
    for name, accumulator in by_name(accumulators).items():
        kind = get_task(by_name(tasks)[name])
        _write_metrics(by_name(evaluation)[name], accumulator.labels, folder / name)
        _draw_worst(name, kind, accumulator, predictor, split_of(data), folder / name)
    with atomic_path(folder / "evaluation.json") as path:
        metrics = map_outputs(lambda evaluation: evaluation.to_dict(), evaluation)
        path.write_text(json.dumps(metrics, indent=1, allow_nan=False), encoding="utf-8")
    return evaluation


def _write_metrics(evaluation: BaseEvaluation, labels: Sequence[str], folder: Path) -> None:
    for name, figure in evaluation.plots(labels).items():
        _save_picture(figure, folder / name)
    for name, rows in evaluation.tables(labels).items():
        with atomic_path(folder / name) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            write_csv(file, rows)


def _draw_worst(
    output: str, task: Task, accumulator: Accumulator, predictor: Predictor, split: ImageSplit, folder: Path
) -> None:
    rows = accumulator.shown(WORST)
    images = split.images.take(rows)
    targets = task.mark_void(by_name(split.labels)[output][rows], split.ignore)
    ((inputs, _),) = evaluation_batches(split.at(rows), len(rows))
    outputs = by_name(predictor(as_arrays(inputs)))[output]
    names = [split.name_of(row) for row in rows]
    dimensions = len(split.images.shape) - 1
    images = as_pictures(displayable(images, split.pixel_range), dimensions)
    if task.class_unit == "pixels":
        targets, outputs = (as_drawn_maps(maps, dimensions) for maps in (targets, outputs))
    _save_picture(task.plot_examples(images, targets, outputs, accumulator.labels, names), folder / "worst.png")
    with atomic_path(folder / "worst.json") as path:
        path.write_text(json.dumps(names, indent=1), encoding="utf-8")


def _save_picture(figure: "Figure", path: Path) -> None:
    """Writes a PNG; an interrupted write leaves no file."""
    with atomic_path(path) as temporary:
        save_figure(figure, temporary)
