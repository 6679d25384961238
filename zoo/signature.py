"""What a model takes, and how many answers it gives."""

import keras

from ..core.errors import InputError


def image_shape(model: keras.Model) -> tuple[int | None, int | None, int | None]:
    """Height, width and channels of the images that `model` takes; None for what is left open.

    Raises:
        InputError: It is no model, or does not take one batch of images.
    """
    if not isinstance(model, keras.Model):
        raise InputError(f"the model is {model!r}; give a keras.Model, as create_model and load_model give it.")
    inputs = model.inputs or []
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        shapes = [tuple(tensor.shape) for tensor in inputs]
        raise InputError(
            f"{model.name} takes {shapes}; what is expected takes one batch of images, "
            "(batch, height, width, channels)."
        )
    return tuple(inputs[0].shape[1:])


def check_single_output(model: keras.Model) -> None:
    """Raises InputError where `model` does not give one answer for each image: a vector, or a map."""
    outputs = model.outputs or []
    if isinstance(getattr(model, "output", None), dict):
        raise InputError(f"{model.name} gives answers by name, {', '.join(model.output)}; what is expected gives one.")
    if len(outputs) != 1 or len(outputs[0].shape) not in (2, 4):
        shapes = [tuple(tensor.shape) for tensor in outputs]
        raise InputError(
            f"{model.name} gives {shapes}; what is expected gives one (batch, classes) or "
            "(batch, height, width, classes)."
        )
