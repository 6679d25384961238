"""Keras layers traced in a form that TFLite runtimes compute faster, or that the converter accepts."""

from contextlib import AbstractContextManager

import keras
import numpy as np
import tensorflow as tf

from ....core.keras_private import replace_hard_sigmoid
from ....core.process_patches import replace_attribute


def mirrored_hard_sigmoid() -> AbstractContextManager[None]:
    """Trace the hard sigmoid as `1 - relu6(3 - x) / 6`, which equals `relu6(x + 3) / 6`, during the block.

    From `x * relu6(x + 3) / 6` the converter makes one operator, which it then rejects with 16-bit activations.
    """
    return replace_hard_sigmoid(lambda x: 1 - tf.nn.relu6(3 - x) / 6)


def rescaling_as_convolution() -> AbstractContextManager[None]:
    """Trace `Rescaling` as a 1x1 convolution with a diagonal kernel during the block.

    Runtimes have fast kernels for convolutions, and none for a scale and an offset by channel: at 224x224 in int8
    LiteRT takes 0.1 ms instead of 0.6, a fifth of a MobileNet, and rounds once instead of twice. A single channel has
    one scale and one offset, for which there are kernels.
    """
    return replace_attribute(keras.layers.Rescaling, "call", _convolve)


def _convolve(layer: keras.layers.Rescaling, inputs: tf.Tensor) -> tf.Tensor:
    channels = inputs.shape[-1]
    if channels == 1:
        return inputs * layer.scale + layer.offset
    scale, offset = (np.broadcast_to(np.float32(constant), channels) for constant in (layer.scale, layer.offset))
    return tf.nn.bias_add(tf.nn.conv2d(inputs, np.diag(scale)[None, None], 1, "VALID"), offset)
