"""Whether a model and a dataset can be used together."""

import keras

from ..layers import ClassificationHead, Head
from ..zoo.errors import InputError
from ..zoo.inputs import image_shape
from .data import ImageData, ImageSplit


def check_fit_together(model: keras.Model, data: ImageData) -> None:
    """Raises InputError where `model` takes other images than `data` has, or answers other classes."""
    check_image_shape(model, data.train)
    classes = model.output_shape[-1]
    if classes != len(data.labels):
        raise InputError(f"{model.name} answers {classes} classes, but {data.source} has {len(data.labels)}.")
    for layer in model.layers:
        if isinstance(layer, ClassificationHead) and layer.labels not in (None, list(data.labels)):
            raise InputError(f"{model.name} answers {layer.labels}, but {data.source} has {list(data.labels)}.")


def check_image_shape(model: keras.Model, split: ImageSplit) -> None:
    """Raises InputError where `model` does not take images of the shape that `split` has."""
    wanted, given = image_shape(model), split.images.shape
    heads = {layer.TASK for layer in model.layers if isinstance(layer, Head)}
    if heads - {"classification"} or len(model.output_shape) != 2:
        kind = " and ".join(sorted(heads)) or "from no head of the zoo"
        raise InputError(
            f"{model.name} gives {model.output_shape}, {kind}; what is trained and evaluated here is a classification, "
            "(batch, classes)."
        )
    if any(size not in (None, have) for size, have in zip(wanted, given, strict=True)):
        raise InputError(f"{model.name} takes images of {wanted} (height, width, channels), but the data has {given}.")
