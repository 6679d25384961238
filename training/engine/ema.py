"""The moving average of the weights, in their place."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras

from .optimizers import innermost


@contextmanager
def averaged_weights(network: keras.Model) -> Iterator[None]:
    """Inside the block the compiled `network` has the moving averages of its weights; after it the weights, bit by bit.

    Nothing is done where the optimizer keeps no averages, or has made no step yet. BatchNorm's statistics are moving
    averages by themselves and stay. Averages come under the constraints of their weights, such as the mask of pruning:
    Keras averages what is there before it applies them.
    """
    optimizer = innermost(network.optimizer)
    if not (optimizer.use_ema and optimizer.built and int(optimizer._iterations.numpy())):
        yield
        return
    trained = optimizer._trainable_variables
    weights = [variable.numpy() for variable in trained]
    try:
        for variable, average in zip(trained, optimizer._model_variables_moving_average, strict=True):
            variable.assign(average if variable.constraint is None else variable.constraint(average))
        yield
    finally:
        for variable, weight in zip(trained, weights, strict=True):
            variable.assign(weight)
