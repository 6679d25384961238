"""What training minimises and what it measures, by the heads of the model."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops
from pydantic import TypeAdapter

from ...core.errors import InputError
from ...core.outputs import by_name, map_outputs
from ..model_outputs import tasks_of
from ..recipe.loss import TASKS, Loss
from .losses import make_loss


def objectives(model: keras.Model, loss: Loss | Sequence[Loss] | None = None) -> dict[str, Any]:
    """The `loss` and the `metrics` that `keras.Model.compile` takes, each a dict by name for several outputs.

    Losses are means over the images, and over their labels, numbers or places. Several outputs' losses are added up.
    Metrics: `accuracy` of a classification, `binary_accuracy` of several labels (there above a probability of 0.5),
    `mae` of a regression (mean absolute error), `mean_iou` of a segmentation.

    Args:
        model: Its heads say what is answered.
        loss: Of every output, one or a list of which the sum is; by default the first of `recipe.loss.TASKS`.

    Raises:
        InputError: An output is nothing that can be trained here, or not by that loss.
    """
    tasks = tasks_of(model)
    for name, task in by_name(tasks).items():
        _check_fits(loss, task, f"{model.name}'s output {name!r}" if name else model.name)
    return {
        "loss": map_outputs(lambda task: make_loss(loss or _default(task), task), tasks),
        "metrics": map_outputs(_metrics, tasks, model.output),
    }


def _default(task: str) -> Loss:
    return TypeAdapter(Loss).validate_python(TASKS[task][0])


def _check_fits(loss: Loss | Sequence[Loss] | None, task: str, answering: str) -> None:
    for part in loss if isinstance(loss, Sequence) else filter(None, [loss]):
        if part.name not in TASKS[task]:
            raise InputError(
                f"loss {part.name!r} does not fit {answering}, a {task}; that takes {', '.join(TASKS[task])}."
            )


def _metrics(task: str, output: keras.KerasTensor) -> list[keras.Metric]:
    match task:
        case "classification":
            return [keras.metrics.MeanMetricWrapper(_right_class, name="accuracy")]
        case "multi_label":
            return [keras.metrics.MeanMetricWrapper(_right_labels, name="binary_accuracy")]
        case "regression":
            return [keras.metrics.MeanAbsoluteError(name="mae")]
        case _:
            return [keras.metrics.MeanIoU(output.shape[-1], sparse_y_pred=False, name="mean_iou")]


def _right_class(targets, answers):
    """1 where the class is right; of mixed targets the larger share counts."""
    indices = ops.argmax(targets, axis=-1) if len(targets.shape) == len(answers.shape) else targets
    return ops.cast(ops.equal(ops.cast(indices, "int32"), ops.cast(ops.argmax(answers, axis=-1), "int32")), "float32")


def _right_labels(targets, answers):
    """Share of the labels that are right, of mixed targets by the larger share."""
    return ops.mean(ops.cast(ops.equal(targets > 0.5, answers > 0.5), "float32"), axis=-1)
