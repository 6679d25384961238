"""A publisher's tensors to our weights, the same function exactly."""

from dataclasses import dataclass

import keras
import numpy as np

from ...core.errors import InputError
from ..cards import ModelCard
from . import keras_layout, torch_layout
from .anatomy import anatomy
from .tensor_files import Tensors


@dataclass(frozen=True)
class Pixels:
    """What a net was fed: `(pixels - mean) * scale` with pixels 0..255, one number for each channel of the file."""

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    bgr: bool = False
    """Whether the file's channels are blue, green, red."""

    @classmethod
    def of(cls, mean: tuple[float, ...], deviation: tuple[float, ...]) -> "Pixels":
        """From the mean and deviation of pixels 0..1, as PyTorch states them."""
        return cls(tuple(255 * value for value in mean), tuple(1 / (255 * value) for value in deviation))


IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
PIXELS = {
    "signed": Pixels.of((0.5,) * 3, (0.5,) * 3),
    "unit": Pixels.of((0.0,) * 3, (1.0,) * 3),
    "imagenet": Pixels.of((0.485, 0.456, 0.406), IMAGENET_DEVIATION),
    "caffe": Pixels((103.939, 116.779, 123.68), (1.0,) * 3, bgr=True),
}
"""By the names that cards use."""


def convert(
    tensors: Tensors, layout: str, card: ModelCard, model: keras.Model, *, pixels: Pixels | None, epsilon: float | None
) -> Tensors:
    """The tensors of a file as weights of `model`, by `layer/variable`.

    Args:
        tensors: All that the file holds.
        layout: Whose names they have.
        card: Of `model`.
        model: Of the file's very architecture: no tensor is left over, and no weight.
        pixels: What the net was fed; None where the file says so itself.
        epsilon: Of the file's BatchNorms, if not the model's.

    Raises:
        InputError: A tensor is missing, left over, or of another shape.
    """
    tensors = dict(tensors)
    if pixels is None:
        pixels = _own_pixels(tensors)
    parts = anatomy(model)
    if layout == "keras":
        pairs = keras_layout.pairs(tensors, parts)
    else:
        pairs = torch_layout.pairs(tensors, parts, layout, card)
    weights = {pair.ours: pair.tensor for pair in pairs if not pair.absorbed}
    for pair in pairs:
        if pair.absorbed:  # BatchNorm takes its mean from what a convolution gives, bias and all
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


def _own_pixels(tensors: Tensors) -> Pixels:
    """What Keras' EfficientNet does to pixels, by the layer that it begins with: `Normalization` of pixels 0..1.

    In Keras' own files for ImageNet deviations stand where variances should; keras.applications makes up for it behind
    the layer (tensorflow/tensorflow#49930).
    """
    names = list(tensors)[:3]
    if [tensors[name].size for name in names] != [3, 3, 1]:
        raise InputError(f"the file begins with {', '.join(names)}, not with a mean, a variance and a count of pixels.")
    mean, variance, _ = (tensors.pop(name).ravel().astype("float64") for name in names)
    deviation = variance if np.allclose(variance, IMAGENET_DEVIATION) else np.sqrt(variance)
    return Pixels.of(tuple(mean.tolist()), tuple(deviation.tolist()))
