"""Random numbers that depend on the image they are for, and not on the batch that it comes in.

They are float64, and so is what is computed of them before it meets pixels: the last bits of a function of a vector
depend on its length, which decides what goes through vector instructions.
"""

from collections.abc import Sequence

import tensorflow as tf

MOST = 16
"""Numbers for one transformation of one image."""


class Draws:
    """The random numbers that one transformation has for every image of a batch, given out one after another.

    Args:
        numbers: Float64 `(batch, MOST)`, 0..1.
    """

    def __init__(self, numbers: tf.Tensor):
        self._numbers = iter(tf.unstack(numbers, axis=1))

    def uniform(self, low: float | tf.Tensor, high: float | tf.Tensor) -> tf.Tensor:
        """A number from `low` to `high` for each image, `(batch,)`."""
        return low + (high - low) * next(self._numbers)

    def coin(self) -> tf.Tensor:
        """Yes or no for each image, `(batch,)`."""
        return next(self._numbers) < 0.5

    def sign(self) -> tf.Tensor:
        """-1 or 1 for each image, `(batch,)`."""
        return 1 - 2 * tf.cast(self.coin(), tf.float64)


def draw(seeds: tf.Tensor, transformations: int) -> Sequence[tf.Tensor]:
    """What `Draws` takes, for each transformation.

    Args:
        seeds: Of each image, int64 `(batch, 2)`. The same seed gives the same numbers, whatever else is in the batch.
        transformations: How many there are.
    """
    numbers = tf.map_fn(
        lambda seed: tf.random.stateless_uniform((transformations, MOST), seed, dtype=tf.float64),
        seeds,
        fn_output_signature=tf.float64,
    )
    return tf.unstack(numbers, axis=1)
