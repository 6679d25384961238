"""The task of targets in arrays, about which nothing is stated: from their values and from the model's last layers."""

from dataclasses import dataclass

import keras
import numpy as np

from ...core.arguments import received
from ...core.errors import InputError
from ...tasks.registry import task_of_labels, task_of_loss
from ...zoo.output_form import activations_of, compiled_losses, loss_name
from ...zoo.signature import named_outputs

NUMBERS = task_of_loss("mean_squared_error", 2)
"""Name of the task of numbers."""
OF_TWO_CLASSES = {"binary_crossentropy", "binary_focal_crossentropy", "dice", "tversky"}
"""Keras' names of the losses of probabilities of the second of two classes."""


@dataclass(frozen=True)
class LastLayer:
    """What the end of a model says about the targets of an output."""

    shape: tuple[int | None, ...]
    """Shape of the output, with the axis of the batch."""
    activation: str | None
    loss: str | None
    """Keras' name of the loss that the model was compiled with."""

    @property
    def is_of_numbers(self) -> bool:
        """Whether the output cannot be probabilities and is trained by a loss of numbers."""
        return task_of_loss(self.loss, 2) == NUMBERS and self.activation not in ("softmax", "sigmoid")

    @property
    def is_of_classes(self) -> bool:
        """Whether the output is probabilities of classes, or logits by the loss it is trained with."""
        has_loss = self.loss is not None and (self.loss in OF_TWO_CLASSES or "crossentropy" in self.loss)
        return self.activation == "softmax" or has_loss or (self.activation == "sigmoid" and self.shape[-1] == 1)


def last_layers(model: keras.Model) -> dict[str, LastLayer]:
    """Return the end of a functional model for each output by name."""
    activations, losses = activations_of(model), compiled_losses(model)
    return {
        name: LastLayer(tuple(tensor.shape), activations[name], loss_name(losses[name]))
        for name, tensor in named_outputs(model).items()
    }


def suggested_task(targets: np.ndarray, last: LastLayer | None = None) -> str | None:
    """Return the task of targets, by their dtype and form and by the end of the model; None if nothing shows it.

    Raises:
        InputError: They are text, or do not go with the last activation.
    """
    if targets.dtype.kind in "USO":
        raise InputError(
            f"the targets are {received(targets)} of text or objects; give class indices and their names: "
            "names, indices = numpy.unique(targets, return_inverse=True), then labels=list(names)."
        )
    if last is None:
        return task_of_labels(targets)
    rows = targets[:, 0] if targets.ndim == 2 and targets.shape[1] == 1 else targets
    if len(last.shape) == 2 and last.shape[-1] == 1 and rows.ndim == 1 and rows.dtype.kind in "iuf":
        has_other_values = not (last.is_of_classes or np.isin(rows, (-1, 0, 1)).all())
        if last.is_of_numbers or has_other_values:
            return NUMBERS
    if rows.dtype.kind in "bf" and _whole(rows):  # as Keras' losses take them
        is_map = len(last.shape) == 4 and rows.ndim >= 3
        if is_map or (last.is_of_classes and rows.ndim == 1):
            rows = rows.astype("int64")
    task = task_of_labels(rows)
    if task == NUMBERS and last.activation == "softmax":
        raise InputError(
            f"the targets are {received(targets)} of fractions, but the model ends in a softmax; give class indices "
            "(and smooth them by the recipe, loss={'name': 'cross_entropy', 'label_smoothing': 0.1}), or state "
            "task='regression'."
        )
    return task


def _whole(targets: np.ndarray) -> bool:
    return targets.dtype.kind == "b" or bool((targets == np.floor(targets)).all() and np.isfinite(targets).all())
