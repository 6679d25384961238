"""Whether a model and a dataset can be used together."""

import keras

from ..layers import ClassificationHead
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
    if len(model.output_shape) != 2:
        raise InputError(
            f"{model.name} gives {model.output_shape}; what is trained and evaluated here is a classifier, which gives "
            "(batch, classes)."
        )
    if any(size not in (None, have) for size, have in zip(wanted, given, strict=True)):
        raise InputError(f"{model.name} takes images of {wanted} (height, width, channels), but the data has {given}.")
