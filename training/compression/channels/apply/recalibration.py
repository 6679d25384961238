"""Recalibration of BatchNorm statistics after channels were removed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras

from .....core.keras_private import all_layers
from .....zoo.decoded_form import decoded_form
from ....data.images import ImageData
from ..choose.importance import training_images


def recalibrate(model: keras.Model, data: ImageData) -> None:
    """Set the moving statistics of every BatchNorm that is not frozen to the means over some training batches.

    Removing channels shifts the sums computed from them. Everything but the BatchNorms is in inference mode meanwhile:
    dropout, noise and augmentation would change the statistics, and are off when they are used.
    """
    norms = [part for part in all_layers(model) if isinstance(part, keras.layers.BatchNormalization)]
    if not norms:
        return
    decoded = decoded_form(model)  # takes raw pixels
    with _in_training(norms):
        for seen, (images, _) in enumerate(training_images(data)):
            for norm in norms:
                norm.momentum = seen / (seen + 1)  # the moving mean becomes the mean of all batches so far
            decoded(images, training=False)


@contextmanager
def _in_training(norms: list[keras.layers.BatchNormalization]) -> Iterator[None]:
    """Call `norms` in training mode, whatever the mode of the model, until the block ends; then restore momentums."""
    before = [(norm, norm.momentum) for norm in norms]
    try:
        for norm in norms:
            object.__setattr__(norm, "call", partial(_call_in_training, norm.call))
        yield
    finally:
        for norm, momentum in before:
            norm.momentum = momentum
            object.__delattr__(norm, "call")  # the method of the class is visible again


def _call_in_training(call: Callable[..., Any], inputs: Any, **arguments: Any) -> Any:
    return call(inputs, **arguments | {"training": True})
