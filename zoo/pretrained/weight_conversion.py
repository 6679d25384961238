"""Exact conversion of published tensors to the weights of the zoo's models."""

from dataclasses import dataclass

import keras
import numpy as np

from ...core.errors import InputError
from ..cards import ModelCard
from . import keras_layout, torch_layout
from .tensor_files import Tensors
from .weighted_layers import weighted_layers


@dataclass(frozen=True)
class Pixels:
    """Normalization in training: `(pixels - mean) * scale` with pixels 0..255, one value per channel of the file."""

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    bgr: bool = False
    """Whether the channels are ordered blue, green, red."""

    @classmethod
    def of(cls, mean: tuple[float, ...], deviation: tuple[float, ...]) -> "Pixels":
        """Create from the mean and standard deviation of pixels 0..1, as PyTorch defines them."""
        return cls(tuple(255 * value for value in mean), tuple(1 / (255 * value) for value in deviation))


IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
PIXELS = {
    "signed": Pixels.of((0.5,) * 3, (0.5,) * 3),
    "unit": Pixels.of((0.0,) * 3, (1.0,) * 3),
    "imagenet": Pixels.of((0.485, 0.456, 0.406), IMAGENET_DEVIATION),
    "caffe": Pixels((103.939, 116.779, 123.68), (1.0,) * 3, bgr=True),
}
"""Normalizations by their names on cards."""


def convert(
    tensors: Tensors, layout: str, card: ModelCard, model: keras.Model, *, pixels: Pixels | None, epsilon: float | None
) -> Tensors:
    """Convert the tensors of a file to weights of `model`, by `layer/variable`.

    Args:
        tensors: All tensors in the file.
        layout: Naming and axis order of the tensors, a `Layout` of cards.
        card: Card of `model`.
        model: A model of the same architecture as the file.
        pixels: Normalization in training; None if it is stored in the file.
        epsilon: Epsilon of the BatchNorm layers in the file, if it differs from the model's.

    Raises:
        InputError: A tensor is missing, superfluous, or has another shape.
    """
    tensors = dict(tensors)
    if pixels is None:
        pixels = _stored_normalization(tensors)
    parts = weighted_layers(model)
    if layout == "keras":
        pairs = keras_layout.pairs(tensors, parts)
    else:
        pairs = torch_layout.pairs(tensors, parts, layout, card)
    weights = {pair.ours: pair.tensor for pair in pairs if not pair.absorbed}
    for pair in pairs:
        if pair.absorbed:  # a bias before BatchNorm is equivalent to a lower moving mean
            weights[pair.ours] = weights[pair.ours] - pair.tensor
    if epsilon is not None:
        for part in filter(lambda part: part.is_norm, parts.values()):
            name = f"{part.name}/moving_variance"
            weights[name] = weights[name] + np.float32(epsilon - part.layer.epsilon)
    if pixels.bgr:
        first = f"{next(iter(parts))}/kernel"
        weights[first] = weights[first][:, :, ::-1]
    order = -1 if pixels.bgr else 1
    return weights | {
        "pixels/mean": np.array(pixels.mean[::order], "float32"),
        "pixels/scale": np.array(pixels.scale[::order], "float32"),
    }


def _stored_normalization(tensors: Tensors) -> Pixels:
    """Remove and return the normalization of Keras' EfficientNet, whose first layer normalizes pixels 0..1.

    In Keras' own ImageNet files this layer stores standard deviations instead of variances; keras.applications corrects
    for that after the layer (tensorflow/tensorflow#49930).
    """
    names = list(tensors)[:3]
    if [tensors[name].size for name in names] != [3, 3, 1]:
        raise InputError(f"the file begins with {', '.join(names)}, not with a mean, a variance and a count of pixels.")
    mean, variance, _ = (tensors.pop(name).ravel().astype("float64") for name in names)
    deviation = variance if np.allclose(variance, IMAGENET_DEVIATION) else np.sqrt(np.maximum(variance, 0))
    if not deviation.all():
        raise InputError(f"the file begins with the variances {variance.tolist()} of pixels; they must be above 0.")
    return Pixels.of(tuple(mean.tolist()), tuple(deviation.tolist()))
