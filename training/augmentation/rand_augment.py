"""RandAugment: the same few operations for all data sets, drawn for each image (Cubuk et al., arXiv:1909.13719).

Keras' layer of this name draws one list of operations for a whole batch, from a state of its own instead of a given
seed, and computes all of them for each image.
"""

import math
from functools import cache, partial

import tensorflow as tf
from keras import layers

from ..recipe.augmentation import RandAugment
from .colour import adjust
from .draws import Draws
from .geometry import Sides, affine, turned

SHEAR, SHIFT, TURN, FACTOR = 0.3, 0.45, math.radians(30), 0.9
"""At magnitude 1: slant, share of the side, angle, and share of brightness, colour, contrast and sharpness."""
LOST_BITS = 4
"""Of the eight of a pixel, posterised at magnitude 1."""


MOVING = (
    lambda strength, height, width: affine(x_from_y=SHEAR * strength),
    lambda strength, height, width: affine(y_from_x=SHEAR * strength),
    lambda strength, height, width: affine(x=SHIFT * width * strength),
    lambda strength, height, width: affine(y=SHIFT * height * strength),
    lambda strength, height, width: turned(TURN * strength),
)
"""Operations that move pixels: from -magnitude or magnitude, `(batch,)`, to matrices."""


def sharpen(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """More contrast at edges, or less."""
    factor = tf.cast(
        (1 + FACTOR * strength) / 2, tf.float32
    )  # Keras goes from 0, which blurs, over 0.5, which changes nothing, to 1
    return _sharpness().transform_images(image, {"factor": factor})


@cache
def _sharpness() -> layers.Layer:
    with tf.init_scope():  # it has a state, unused here, which no graph can make
        return layers.RandomSharpness(1.0, dtype="float32")


def posterize(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Fewer shades."""
    step = tf.cast(2 ** tf.round(LOST_BITS * tf.abs(strength)), tf.float32)
    return tf.floor(image / step) * step


def solarize(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """What is bright, inverted."""
    return tf.where(image <= tf.cast(255 * (1 - tf.abs(strength)), tf.float32), image, 255 - image)


COLOURING = (
    lambda image, strength: image,
    lambda image, strength: adjust(image, brightness=FACTOR * strength),
    lambda image, strength: adjust(image, saturation=FACTOR * strength),
    lambda image, strength: adjust(image, contrast=FACTOR * strength),
    sharpen,
    posterize,
    solarize,
    lambda image, strength: layers.AutoContrast(dtype="float32").transform_images(image),
    lambda image, strength: layers.Equalization(dtype="float32").transform_images(image, None),
)
"""Operations that change colours, of an image `(1, height, width, channels)` and -magnitude or magnitude, `(1,)`; the
first is none."""


def randomly_moved(options: RandAugment, draws: Draws, sides: Sides) -> tf.Tensor:
    """The matrices of those of the drawn operations that move pixels, `(batch, 3, 3)`."""
    product = tf.eye(3, dtype=tf.float64)
    for number, strength in _drawn(options, draws):
        matrices = [operation(strength, *sides) for operation in MOVING]
        matrices = tf.stack([*matrices, affine(x=0 * strength)], axis=1)
        product = product @ tf.gather(matrices, tf.minimum(number, len(MOVING)), axis=1, batch_dims=1)
    return product


def randomly_coloured(options: RandAugment, draws: Draws, images: tf.Tensor) -> tf.Tensor:
    """Images after those of the drawn operations that change colours, one after another."""
    numbers, strengths = (tf.stack(column, axis=1) for column in zip(*_drawn(options, draws), strict=True))

    def of_one(image: tf.Tensor, numbers: tf.Tensor, strengths: tf.Tensor) -> tf.Tensor:
        image = image[None]
        for place in range(options.operations):
            branches = [partial(operation, image, strengths[place, None]) for operation in COLOURING]
            image = tf.switch_case(tf.maximum(numbers[place] - len(MOVING), 0), branches)
        return image[0]

    signature = tf.TensorSpec(images.shape[1:], tf.float32)
    return tf.map_fn(lambda of: of_one(*of), (images, numbers, strengths), fn_output_signature=signature)


def _drawn(options: RandAugment, draws: Draws) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """The operations of each image, one after another: number, first of `MOVING` then of `COLOURING`, and strength."""
    count = len(MOVING) + len(COLOURING)
    return [
        (
            tf.cast(draws.uniform(0.0, count), tf.int32),
            draws.sign() * options.magnitude,
        )
        for _ in range(options.operations)
    ]
