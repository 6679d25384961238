"""Normalisation of pixels as runtimes compute it fastest."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import keras
import numpy as np
import tensorflow as tf


@contextmanager
def convolved_pixels() -> Iterator[None]:
    """While the block runs, `Rescaling` is traced as a 1x1 convolution whose kernel is diagonal.

    Runtimes have kernels for convolutions that they lack for a factor and an offset by channel: at 224x224 in integers
    LiteRT takes 0.1 ms in place of 0.6, which is a fifth of a MobileNet; and there is one rounding in place of two. One
    channel has one factor and one offset, for which there are kernels.
    """
    with patch.object(keras.layers.Rescaling, "call", _convolved):
        yield


def _convolved(layer: keras.layers.Rescaling, inputs: tf.Tensor) -> tf.Tensor:
    channels = inputs.shape[-1]
    if channels == 1:
        return inputs * layer.scale + layer.offset
    scale, offset = (np.broadcast_to(np.float32(constant), channels) for constant in (layer.scale, layer.offset))
    return tf.nn.bias_add(tf.nn.conv2d(inputs, np.diag(scale)[None, None], 1, "VALID"), offset)
