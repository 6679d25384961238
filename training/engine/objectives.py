"""Losses and training metrics of a model, by the tasks of its outputs."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from pydantic import TypeAdapter

from ...core.errors import InputError
from ...core.outputs import by_name, map_outputs
from ...layers import Head
from ...tasks.registry import get_task
from ...zoo.contract import contract_of
from ...zoo.output_contract import OutputContract
from ..model_outputs import heads_of, tasks_of
from ..recipe.loss import Loss
from .losses import make_loss


def objectives(model: keras.Model, loss: Loss | Sequence[Loss] | None = None, labels: Any = None) -> dict[str, Any]:
    """Return the arguments `loss` and `metrics` of `keras.Model.compile`, each a dict by name for several outputs.

    Losses are means over the images, and over their labels, values or pixels. The losses of several outputs are summed.
    Metrics: `accuracy` of a classification, `binary_accuracy` of a multi-label classification (at a probability of
    0.5), `mae` of a regression (mean absolute error), `mean_iou` of a segmentation.

    Args:
        model: The model, whose contract says what its outputs are; the network that is compiled is its decoded form.
        loss: Loss of every output, one or a list to be summed; by default the task's.
        labels: Names of the classes of the targets, by output; for losses with weights of their own for each class.

    Raises:
        InputError: An output cannot be trained, or not with that loss.
    """
    tasks = tasks_of(model)
    for name, task in by_name(tasks).items():
        _check_fits(loss, task, f"{model.name}'s output {name!r}" if name else model.name)

    def made(output: OutputContract, head: Head | None, names: Sequence[str]) -> keras.Loss:
        config = loss or _default_loss(output.task_name)
        return make_loss(config, output.task.class_indices, _unit(head), len(names), output.size or 0, _cells(head))

    outputs = contract_of(model).outputs
    names = map_outputs(lambda output: output.names, outputs) if labels is None else labels
    return {
        "loss": map_outputs(made, outputs, heads_of(model), names),
        "metrics": map_outputs(lambda output: get_task(output.task_name).training_metrics(output.size), outputs),
    }


def _unit(head: Head | None) -> float:
    """Return what losses take as 1: the range of the values of pictures, so that loss and steps are those of 0..1."""
    low, high = getattr(head, "value_range", (0.0, 1.0))
    return high - low


def _cells(head: Head | None) -> np.ndarray | None:
    """Return where the candidates of a head are, for losses that assign objects to them."""
    return getattr(head, "cells", None)


def _default_loss(task: str) -> Loss:
    return TypeAdapter(Loss).validate_python(get_task(task).losses[0])


def _check_fits(loss: Loss | Sequence[Loss] | None, task: str, output: str) -> None:
    losses = get_task(task).losses
    for part in loss if isinstance(loss, Sequence) else filter(None, [loss]):
        if part.name not in losses:
            raise InputError(
                f"loss {part.name!r} does not fit {output}, {get_task(task).titled}; that takes {', '.join(losses)}."
            )
