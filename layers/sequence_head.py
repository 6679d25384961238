"""The head of sequences: a feature map is read column by column."""

from collections.abc import Sequence
from typing import Any

import keras

from .heads import Head


@keras.saving.register_keras_serializable("pocketzoo")
class SequenceHead(Head):
    """A feature map to one probability for each symbol and column, which sum to 1 over the symbols.

    The columns are those of the map, whose rows are averaged first.

    Args:
        classes: Number of symbols: the characters and, last, the blank.
        labels: Names of the symbols in the order of the outputs, or None.
        dropout: Share of the features that is dropped in training, 0 for none.

    Input `(batch, height, width, channels)` of a fixed height, output `(batch, width, classes)`; of signals
    `(batch, length, channels)`, output `(batch, length, classes)`.
    """

    TASK = "sequence"

    def __init__(
        self, classes: int, *, labels: Sequence[str] | None = None, dropout: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.keep_labels(labels, classes)
        self.classes = classes
        self.dropout = dropout
        self.pool: keras.Layer | None = None
        self.drop = self.sublayer(keras.layers.Dropout, "drop", dropout) if dropout else None
        self.scores = self.sublayer(keras.layers.Conv2D, "scores", classes, 1)
        is_map = self.dimensions == 2
        self.columns = self.sublayer(keras.layers.Reshape, "columns", (-1, classes)) if is_map else None
        self.softmax = self.sublayer(keras.layers.Activation, "probabilities", "softmax", dtype="float32")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Builds the layers for a feature map, whose rows become one."""
        if len(input_shape) == 4 and input_shape[1] is None:
            raise ValueError(f"{self.name}: a sequence head takes a map of a fixed height; this one leaves it open.")
        if len(input_shape) == 4 and input_shape[1] != 1:
            self.pool = self.sublayer(keras.layers.AveragePooling2D, "pool", (input_shape[1], 1))
        super().build(input_shape)

    def chain(self, rank: int) -> list[keras.layers.Layer]:
        """Mean of the rows, scores of each column, their softmax."""
        if rank != self.map_rank or self.dimensions > 2:
            raise ValueError(
                f"{self.name}: a sequence head takes a map (rank 4) and reads its columns; these features have rank "
                f"{rank}."
            )
        parts = (self.pool, self.drop, self.scores, self.columns, self.softmax)
        return [part for part in parts if part is not None]

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Shape of the outputs."""
        return (input_shape[0], input_shape[-2], self.classes)
