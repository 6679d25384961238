"""The normalization layer of a model, adapted to the pixels of a dataset."""

import keras
import numpy as np

from ...core.arguments import Seed, check_arguments
from ...core.errors import InputError
from ...layers import PixelNormalization
from ...zoo.contract import state_contract
from .images import ImageData

MOST_IMAGES, BATCH = 2000, 32
"""Training images that are read, drawn at random, and how many at a time."""


@check_arguments
def adapt_normalization(model: keras.Model, data: ImageData, *, seed: Seed = 0) -> None:
    """Set the constants of a model's `PixelNormalization` to mean and deviation of the training pixels, by channel.

    The model then takes pixels in the range of the data, `data.pixel_range`, such as 0..4095, and its files say so. A
    model that was trained needs training after that.

    Args:
        model: A model of the zoo.
        data: Images of the model's number of channels; up to 2,000 of the train split are read.
        seed: Seed for the choice of the images.

    Raises:
        InputError: The model has no such layer, or takes another number of channels.
    """
    layer = next((layer for layer in model.layers if isinstance(layer, PixelNormalization)), None)
    if layer is None:
        raise InputError(
            f"{model.name} has no PixelNormalization, the first layer of the models of the zoo; adapt the layer that "
            "normalizes its pixels in its own way, as keras.layers.Normalization.adapt."
        )
    if len(model.inputs) > 1:
        raise InputError(f"{model.name} has several inputs; adapt its image part before you put it into the model.")
    channels = model.inputs[0].shape[-1]
    if channels != data.image_shape[-1]:
        raise InputError(f"{model.name} takes {channels} channels, but {data.source} has {data.image_shape[-1]}.")
    mean, deviation = pixel_statistics(data, seed=seed)
    layer.pixel_range = data.pixel_range
    for name, weight, values in (
        ("mean", layer.mean_weight, mean),
        ("scale", layer.scale_weight, 1 / np.where(deviation > 0, deviation, 1)),
    ):
        weight.assign(np.broadcast_to(values, weight.shape))
        setattr(layer, name, np.broadcast_to(values, weight.shape).tolist())
    state_contract(model, report=False)


def pixel_statistics(data: ImageData, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of the training pixels, float64 `(channels,)`."""
    rows = np.sort(np.random.default_rng(seed).permutation(len(data.train))[:MOST_IMAGES])
    sums, squares, count = 0.0, 0.0, 0
    middle = sum(data.pixel_range) / 2  # of which squares are subtracted without losing digits
    for start in range(0, len(rows), BATCH):
        pixels = data.train.images.take(rows[start : start + BATCH]).astype("float64") - middle
        places = tuple(range(pixels.ndim - 1))
        sums, squares = sums + pixels.sum(axis=places), squares + (pixels**2).sum(axis=places)
        count += pixels[..., 0].size
    mean = np.asarray(sums) / count
    return mean + middle, np.sqrt(np.maximum(np.asarray(squares) / count - mean**2, 0))
