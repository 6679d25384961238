"""What a model takes."""

import keras

from .errors import InputError


def image_shape(model: keras.Model) -> tuple[int | None, int | None, int | None]:
    """Height, width and channels of the images that `model` takes; None for what is left open.

    Raises:
        InputError: It does not take one batch of images and give one answer for each.
    """
    inputs, outputs = model.inputs or [], model.outputs or []
    if isinstance(getattr(model, "output", None), dict):
        raise InputError(f"{model.name} gives answers by name, {', '.join(model.output)}; what is expected gives one.")
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or len(outputs) != 1 or len(outputs[0].shape) not in (2, 4):
        shapes = [tuple(tensor.shape) for tensor in inputs], [tuple(tensor.shape) for tensor in outputs]
        raise InputError(
            f"{model.name} takes {shapes[0]} and gives {shapes[1]}; what is expected takes one "
            "(batch, height, width, channels) and gives one (batch, classes) or (batch, height, width, classes)."
        )
    return tuple(inputs[0].shape[1:])
