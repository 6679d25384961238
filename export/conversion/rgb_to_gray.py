"""RGB images for models of grayscale images: cameras and MediaPipe give nothing else."""

import keras
import numpy as np
import tensorflow as tf

from ...core.errors import InputError
from ..artifact.metadata import Metadata

LUMA = np.array([77, 150, 29], "float32") / 256
"""Weights of red, green and blue in a gray level, those of ITU-R BT.601 in eight bits. They sum to 1, and a gray pixel
stays exactly as it is in float32, in float16 and, with one step for each gray level, in int8."""


def check_grayscale(model: keras.Model, metadata: Metadata, bits: int | None) -> None:
    """Raise InputError where a model cannot take RGB images in place of its own."""
    if metadata.inputs is not None or metadata.image_shape[2] != 1:
        takes = "several inputs" if metadata.inputs is not None else f"images with {metadata.image_shape[2]} channels"
        raise InputError(f"rgb is True, but {model.name} takes {takes}; it is for models of one grayscale image.")
    if bits is not None:
        raise InputError(
            f"rgb is True, but {model.name} was trained for integers, with ranges for grayscale images only; export "
            "the float model that it was made from, or leave rgb out."
        )


def rgb_to_gray(image: tf.Tensor) -> tf.Tensor:
    """Return the gray levels of `(batch, height, width, 3)`, with one channel."""
    with tf.name_scope("rgb_to_gray"):
        return tf.nn.conv2d(image, LUMA[None, None, :, None], 1, "VALID")
