"""Input and output shapes of models, and checks on them."""

import keras

from ..core.errors import InputError


def image_shape(model: keras.Model) -> tuple[int | None, int | None, int | None]:
    """Return height, width and channels of the input images of `model`; None where the size is variable.

    Raises:
        InputError: `model` is not a Keras model, or its input is not a single batch of images.
    """
    if not isinstance(model, keras.Model):
        raise InputError(f"the model is {model!r}; give a keras.Model, as create_model and load_model return.")
    inputs = model.inputs or []
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        shapes = [tuple(tensor.shape) for tensor in inputs]
        raise InputError(
            f"the inputs of {model.name} have shapes {shapes}; expected is one batch of images, "
            "(batch, height, width, channels)."
        )
    height, width, channels = inputs[0].shape[1:]
    return height, width, channels


def check_single_output(model: keras.Model) -> None:
    """Check that `model` has a single output.

    Raises:
        InputError: `model` has several outputs, or its output is neither one vector nor one map per image.
    """
    outputs = model.outputs or []
    if isinstance(getattr(model, "output", None), dict):
        raise InputError(f"{model.name} has several outputs, {', '.join(model.output)}; expected is a single one.")
    if len(outputs) != 1 or len(outputs[0].shape) not in (2, 4):
        shapes = [tuple(tensor.shape) for tensor in outputs]
        raise InputError(
            f"the outputs of {model.name} have shapes {shapes}; expected is a single output, (batch, classes) or "
            "(batch, height, width, classes)."
        )
