"""Recalibration of BatchNorm statistics after channels were removed."""

import keras

from .....core.keras_private import all_layers
from ....data.images import ImageData
from ..choose.importance import training_images


def recalibrate(model: keras.Model, data: ImageData) -> None:
    """Set the moving statistics of every BatchNorm that is not frozen to the means over some training batches.

    Removing channels shifts the sums computed from them. Dropout is off meanwhile.
    """
    parts = all_layers(model)
    norms = [part for part in parts if isinstance(part, keras.layers.BatchNormalization)]
    dropouts = [part for part in parts if isinstance(part, keras.layers.Dropout)]
    before = [(norm, "momentum", norm.momentum) for norm in norms] + [(one, "rate", one.rate) for one in dropouts]
    if not norms:
        return
    try:
        for dropout in dropouts:
            dropout.rate = 0.0
        for seen, (images, _) in enumerate(training_images(data)):
            for norm in norms:
                norm.momentum = seen / (seen + 1)  # the moving mean becomes the mean of all batches so far
            model(images, training=True)
    finally:
        for part, name, value in before:
            setattr(part, name, value)
