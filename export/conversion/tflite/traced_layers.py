"""Keras layers traced in a form that TFLite runtimes compute faster, or that the converter accepts."""

from contextlib import AbstractContextManager

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from ....core.keras_private import replace_hard_sigmoid
from ....core.process_patches import replace_attribute


def mirrored_hard_sigmoid() -> AbstractContextManager[None]:
    """Trace the hard sigmoid as `1 - relu6(3 - x) / 6`, which equals `relu6(x + 3) / 6`, during the block.

    From `x * relu6(x + 3) / 6` the converter makes one operator, which it then rejects with 16-bit activations.
    """
    return replace_hard_sigmoid(lambda x: 1 - tf.nn.relu6(3 - x) / 6)


SMALLEST_SQUARE = 1e-12
"""Lower bound of the square of a norm by which a vector is divided."""


def fused_unit_normalization() -> AbstractContextManager[None]:
    """Trace `UnitNormalization` with the bound on the sum, not on its inverse root, during the block.

    Of Keras' own form the converter makes five operators, in whose int8 form hardly anything of the sum is left; of
    this one it makes L2_NORMALIZATION. In floating point five are better: the GPU delegate has no L2_NORMALIZATION.
    Shorter vectors than 1e-6 differ.
    """

    def normalize(layer: keras.layers.UnitNormalization, inputs: tf.Tensor) -> tf.Tensor:
        squares = tf.reduce_sum(tf.square(inputs), axis=layer.axis, keepdims=True)
        return inputs * tf.math.rsqrt(tf.maximum(squares, SMALLEST_SQUARE))

    return replace_attribute(keras.layers.UnitNormalization, "call", normalize)


MAX_COLORS = 4
"""Channels of pixels, at most; on wider maps a diagonal kernel costs more than it saves."""


def rescaling_as_convolution() -> AbstractContextManager[None]:
    """Trace `Rescaling` of pixels as a 1x1 convolution with a diagonal kernel during the block.

    Runtimes have fast kernels for convolutions, and none for a scale and an offset by channel: at 224x224 in int8
    LiteRT takes 0.1 ms instead of 0.6, a fifth of a MobileNet, and rounds once instead of twice. A single channel has
    one scale and one offset, for which there are kernels.
    """
    rescale = keras.layers.Rescaling.call

    def convolve(layer: keras.layers.Rescaling, inputs: tf.Tensor) -> tf.Tensor:
        constants = [_by_channel(constant, inputs.shape) for constant in (layer.scale, layer.offset)]
        if any(constant is None for constant in constants):
            return rescale(layer, inputs)
        scale, offset = constants
        return tf.nn.bias_add(tf.nn.conv2d(inputs, np.diag(scale)[None, None], 1, "VALID"), offset)

    return replace_attribute(keras.layers.Rescaling, "call", convolve)


def _by_channel(constant: ArrayLike, shape: tf.TensorShape) -> np.ndarray | None:
    """A constant of a `Rescaling` with one value per channel; None where the input is not a map of pixels."""
    if len(shape) != 4 or shape[-1] not in range(2, MAX_COLORS + 1):
        return None
    values = np.asarray(constant, "float32")
    if values.size != 1 and values.shape[-1:] != (values.size,):  # it varies over rows or columns
        return None
    return np.broadcast_to(values.ravel(), shape[-1])
