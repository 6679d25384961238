"""Whether a model and a dataset can be used together."""

import keras

from ..zoo.errors import InputError
from .data import ImageData, ImageSplit


def check_fit_together(model: keras.Model, data: ImageData) -> None:
    """Raises InputError where `model` takes other images than `data` has, or answers another number of classes."""
    check_image_shape(model, data.train)
    classes = model.output_shape[-1]
    if classes != len(data.labels):
        raise InputError(f"{model.name} answers {classes} classes, but {data.source} has {len(data.labels)}.")


def check_image_shape(model: keras.Model, split: ImageSplit) -> None:
    """Raises InputError where `model` does not take images of the shape that `split` has."""
    wanted, given = model.input_shape[1:], split.images.shape
    if any(size not in (None, have) for size, have in zip(wanted, given, strict=True)):
        raise InputError(f"{model.name} takes images of {wanted} (height, width, channels), but the data has {given}.")
