"""Output layer of a flattened model."""

from collections.abc import Sequence
from typing import Any

import keras

from .heads import Head


@keras.saving.register_keras_serializable("pocketzoo")
class Answer(Head):
    """Activation of a head whose other layers are in the flat graph before it; keeps the head's task and labels.

    The name is that in existing files.

    Args:
        task: `TASK` of the head.
        activation: `"softmax"`, `"sigmoid"` or `"linear"`.
        labels: Names of the outputs, or None.

    Input and output have the same shape, `(batch, ..., outputs)`.
    """

    def __init__(self, task: str, activation: str, *, labels: Sequence[str] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.TASK = self.task = task
        self.activation = activation
        self.labels = None if labels is None else [str(label) for label in labels]
        self.act = self.sublayer(keras.layers.Activation, "act", activation, dtype="float32")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Builds the activation.

        Raises:
            ValueError: The numbers of labels and outputs differ.
        """
        self.keep_labels(self.labels, input_shape[-1])
        super().build(input_shape)

    def chain(self, rank: int) -> list[keras.Layer]:
        """The activation."""
        return [self.act]
