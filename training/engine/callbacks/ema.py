"""Exponential moving averages (EMA) of the weights, used for validation and for the model that is saved."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import keras

from ....core.keras_private import batches_seen, moving_averages, optimized_variables
from ..optimizers import unwrap_optimizer


@contextmanager
def averaged_weights(network: keras.Model) -> Iterator[None]:
    """Give the compiled `network` the moving averages of its weights inside the block; restore the weights bit by bit.

    Does nothing where the optimizer has no averages, or has made no step yet. BatchNormalization's statistics are
    moving averages already and stay. The averages are put under the constraints of their weights, such as a pruning
    mask, because Keras averages the weights before it applies constraints.
    """
    optimizer = unwrap_optimizer(network.optimizer)
    if not (optimizer.use_ema and optimizer.built and batches_seen(optimizer)):
        yield
        return
    variables = optimized_variables(optimizer)
    weights = [variable.numpy() for variable in variables]
    try:
        for variable, average in zip(variables, moving_averages(optimizer), strict=True):
            variable.assign(average if variable.constraint is None else variable.constraint(average))
        yield
    finally:
        for variable, weight in zip(variables, weights, strict=True):
            variable.assign(weight)


class ValidateWithAverages(keras.callbacks.Callback):
    """Validates the moving averages of the weights in place of the weights."""

    def __init__(self) -> None:
        super().__init__()
        self._averaged = ExitStack()

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Assign the averages."""
        self._averaged.enter_context(averaged_weights(self.model))

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        """Restore the weights."""
        self._averaged.close()
