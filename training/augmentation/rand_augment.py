"""RandAugment: the same few operations for all datasets, drawn for each image (Cubuk et al., arXiv:1909.13719).

The layer of this name in Keras draws one list of operations for a whole batch, from its own random state in place of a
given seed, and computes all operations for each image.
"""

import math
from functools import cache, partial

import tensorflow as tf
from keras import layers

from ..recipe.augmentation import RandAugment
from .affine import Sides, affine_matrix, rotation_matrix
from .color import adjust_color
from .random_stream import RandomStream

MAX_SHEAR, MAX_TRANSLATION, MAX_ANGLE, MAX_CHANGE = 0.3, 0.45, math.radians(30), 0.9
"""At magnitude 1: shear, translation as a share of the side, angle, and change of brightness, color, contrast and
sharpness."""
POSTERIZED_BITS = 4
"""Bits, of the eight of a pixel, that posterize removes at magnitude 1."""


GEOMETRIC = (
    lambda strength, height, width: affine_matrix(x_from_y=MAX_SHEAR * strength),
    lambda strength, height, width: affine_matrix(y_from_x=MAX_SHEAR * strength),
    lambda strength, height, width: affine_matrix(x=MAX_TRANSLATION * width * strength),
    lambda strength, height, width: affine_matrix(y=MAX_TRANSLATION * height * strength),
    lambda strength, height, width: rotation_matrix(MAX_ANGLE * strength),
)
"""Operations that move pixels: functions of the strength, -magnitude or magnitude, `(batch,)`, to matrices."""


def sharpen(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Sharpen the image, or blur it with a negative strength."""
    # In Keras 0 blurs, 0.5 leaves the image as it is, and 1 sharpens.
    factor = tf.cast((1 + MAX_CHANGE * strength) / 2, tf.float32)
    return _sharpness().transform_images(image, {"factor": factor})


@cache
def _sharpness() -> layers.Layer:
    with tf.init_scope():  # its random state, unused here, cannot be created inside a graph
        return layers.RandomSharpness(1.0, dtype="float32")


def posterize(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Reduce the number of bits per channel."""
    step = tf.cast(2 ** tf.round(POSTERIZED_BITS * tf.abs(strength)), tf.float32)
    return tf.floor(image / step) * step


def solarize(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Invert bright values."""
    return tf.where(image <= tf.cast(255 * (1 - tf.abs(strength)), tf.float32), image, 255 - image)


PHOTOMETRIC = (
    lambda image, strength: image,
    lambda image, strength: adjust_color(image, brightness=MAX_CHANGE * strength),
    lambda image, strength: adjust_color(image, saturation=MAX_CHANGE * strength),
    lambda image, strength: adjust_color(image, contrast=MAX_CHANGE * strength),
    sharpen,
    posterize,
    solarize,
    lambda image, strength: layers.AutoContrast(dtype="float32").transform_images(image),
    lambda image, strength: layers.Equalization(dtype="float32").transform_images(image, None),
)
"""Operations that change colors: functions of an image `(1, height, width, channels)` and the strength, -magnitude or
magnitude, `(1,)`. The first is the identity."""


def random_matrices(options: RandAugment, stream: RandomStream, sides: Sides) -> tf.Tensor:
    """Return the combined matrices of the drawn geometric operations, `(batch, 3, 3)`."""
    product = tf.eye(3, dtype=tf.float64)
    for number, strength in _draw_operations(options, stream):
        identity = affine_matrix(x=0 * strength)
        matrices = tf.stack([*(operation(strength, *sides) for operation in GEOMETRIC), identity], axis=1)
        product = product @ tf.gather(matrices, tf.minimum(number, len(GEOMETRIC)), axis=1, batch_dims=1)
    return product


def random_photometry(options: RandAugment, stream: RandomStream, images: tf.Tensor) -> tf.Tensor:
    """Apply the drawn photometric operations to each image, one after another."""
    numbers, strengths = (tf.stack(column, axis=1) for column in zip(*_draw_operations(options, stream), strict=True))

    def transform(image: tf.Tensor, numbers: tf.Tensor, strengths: tf.Tensor) -> tf.Tensor:
        image = image[None]
        for index in range(options.operations):
            branches = [partial(operation, image, strengths[index, None]) for operation in PHOTOMETRIC]
            image = tf.switch_case(tf.maximum(numbers[index] - len(GEOMETRIC), 0), branches)
        return image[0]

    signature = tf.TensorSpec(images.shape[1:], tf.float32)
    return tf.map_fn(lambda each: transform(*each), (images, numbers, strengths), fn_output_signature=signature)


def _draw_operations(options: RandAugment, stream: RandomStream) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """Return number and strength of each drawn operation, `(batch,)`; numbers count `GEOMETRIC`, then `PHOTOMETRIC`."""
    count = len(GEOMETRIC) + len(PHOTOMETRIC)
    return [
        (tf.cast(stream.uniform(0.0, count), tf.int32), stream.sign() * options.magnitude)
        for _ in range(options.operations)
    ]
