"""Layers with int8 kernels, with following normalization folded in."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from ....layers import QuantizedConv2D, QuantizedConv2DTranspose, QuantizedDense, QuantizedDepthwiseConv2D

QUANTIZED_LAYERS: dict[type[keras.layers.Layer], type[keras.layers.Layer]] = {
    quantized.STOCK: quantized
    for quantized in (QuantizedConv2D, QuantizedConv2DTranspose, QuantizedDepthwiseConv2D, QuantizedDense)
}
"""By class of the Keras layer that they replace."""


class Affine(NamedTuple):
    """`x * scale + offset`, each a scalar or one number per channel."""

    scale: np.ndarray
    offset: np.ndarray


def affine_of(layer: keras.Operation) -> Affine | None:
    """Return what a BatchNorm does in inference, a Rescaling or a Normalization; None for other layers.

    None too if it is not one number, or one per channel, such as a BatchNorm of another axis than the last.
    """
    if isinstance(layer, keras.layers.Rescaling):
        return _by_channel(layer.scale, layer.offset)
    if isinstance(layer, keras.layers.Normalization) and not layer.invert:
        scale = 1 / np.maximum(np.sqrt(_values(layer.variance)), keras.config.epsilon())
        return _by_channel(scale, -_values(layer.mean) * scale)
    if not isinstance(layer, keras.layers.BatchNormalization) or layer.axis not in (-1, _rank(layer) - 1):
        return None
    mean, variance = (np.asarray(weight, "float64") for weight in (layer.moving_mean, layer.moving_variance))
    scale = (np.asarray(layer.gamma, "float64") if layer.scale else 1.0) / np.sqrt(variance + layer.epsilon)
    return Affine(scale, (np.asarray(layer.beta, "float64") if layer.center else 0.0) - mean * scale)


def _values(tensor: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(tensor), "float64")


def _rank(norm: keras.layers.BatchNormalization) -> int:
    """Return the rank of the tensors that a built BatchNorm takes."""
    return norm.input_spec.ndim


def _by_channel(scale: Any, offset: Any) -> Affine | None:
    """Return numbers, or arrays whose last axis alone is longer than 1, as scalars or vectors; None for others."""
    parts = [_values(part) for part in (scale, offset)]
    if any(part.size not in (1, *part.shape[-1:]) for part in parts):
        return None
    return Affine(*(part.reshape(()) if part.size == 1 else part.ravel() for part in parts))


def fold_into_quantized(layer: keras.layers.Layer, affines: Sequence[Affine]) -> keras.layers.Layer:
    """Return a layer with an int8 kernel that computes `layer`, without its activation, followed by `affines`."""
    config = layer.get_config() | {"use_bias": True, "activation": None, "dtype": "float32"}
    quantized = QUANTIZED_LAYERS[type(layer)].from_config(config)
    quantized.build_from_config(layer.get_build_config())
    kernel, *biases = (weight.astype("float64") for weight in layer.get_weights())
    size = np.linalg.norm(kernel)
    bias = biases[0] if biases else np.zeros(quantized.bias.shape)
    for scale, offset in affines:
        kernel, bias = kernel * _along_outputs(np.broadcast_to(scale, bias.shape), quantized), bias * scale + offset
    quantized.set_weights([kernel, bias])
    quantized.folded_scale = _ratio(np.linalg.norm(kernel), size)
    return quantized


def pointwise(affine: Affine, channels: int, gamma: Any = 1.0, **arguments: Any) -> keras.layers.Layer:
    """Return `affine` as a layer of its own: a 1x1 depthwise convolution, whose int8 kernel is exact.

    Args:
        affine: Scale and offset, scalars or one number per channel.
        channels: Number of channels of the input and the output.
        gamma: What training changed of the scale before.
        arguments: Keyword arguments of the layer.
    """
    layer = QuantizedDepthwiseConv2D(1, **arguments)
    layer.build((None, None, None, channels))
    kernel, bias = (np.broadcast_to(part, (channels,)) for part in affine)
    layer.set_weights([kernel.reshape(1, 1, channels, 1), bias])
    layer.folded_scale = _ratio(np.linalg.norm(kernel), np.linalg.norm(np.broadcast_to(_values(gamma), (channels,))))
    return layer


def _ratio(after: Any, before: Any) -> float:
    return float(after / before) if after and before else 1.0


def _along_outputs(values: np.ndarray, quantized: keras.layers.Layer) -> np.ndarray:
    """Return one value per output channel in a shape that broadcasts against the kernel."""
    return values.reshape(
        [size if axis in quantized.output_axes else 1 for axis, size in enumerate(quantized.kernel.shape)]
    )
