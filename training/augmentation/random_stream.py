"""Random numbers that depend on the image they are for, not on the batch it is in.

They are float64, and so is all that is computed from them until it meets pixels: the last bits of a function of a
vector depend on the vector's length, which determines which elements are computed with vector instructions.
"""

from collections.abc import Sequence

import tensorflow as tf

NUMBERS = 16
"""Random numbers available to each transformation of an image."""


class RandomStream:
    """The random numbers of one transformation for every image of a batch, used one after another.

    Args:
        numbers: Float64 `(batch, NUMBERS)`, in 0..1.
    """

    def __init__(self, numbers: tf.Tensor):
        self._numbers = iter(tf.unstack(numbers, axis=1))

    def uniform(self, low: float | tf.Tensor, high: float | tf.Tensor) -> tf.Tensor:
        """Return a number from `low` to `high` for each image, float64 `(batch,)`."""
        return low + (high - low) * next(self._numbers)

    def coin(self) -> tf.Tensor:
        """Return true with a probability of 1/2 for each image, bool `(batch,)`."""
        return next(self._numbers) < 0.5

    def sign(self) -> tf.Tensor:
        """Return -1 or 1 for each image, float64 `(batch,)`."""
        return 1 - 2 * tf.cast(self.coin(), tf.float64)

    def rectangle(self, images: tf.Tensor, width: tf.Tensor, height: tf.Tensor) -> tf.Tensor:
        """Return a mask of a rectangle at a random position in each image, bool `(batch, height, width, 1)`.

        Args:
            images: `(batch, height, width, channels)`.
            width: Width of the rectangle as a share of the image's, `(batch,)`; limited to 1.
            height: Its height, likewise.
        """

        def inside(share: tf.Tensor, side: int) -> tf.Tensor:
            length = tf.round(tf.minimum(share, 1.0) * side)
            start = tf.floor(self.uniform(0.0, 1.0) * (side - length + 1))
            positions = tf.range(side, dtype=share.dtype)
            return (positions >= start[:, None]) & (positions < (start + length)[:, None])

        rows, columns = images.shape[1:3]
        in_columns, in_rows = inside(width, columns), inside(height, rows)
        return (in_rows[:, :, None] & in_columns[:, None])[..., None]


def random_numbers(seeds: tf.Tensor, count: int) -> Sequence[tf.Tensor]:
    """Return the numbers of a `RandomStream` for each of `count` transformations.

    Args:
        seeds: Seeds of the images, int64 `(batch, 2)`. The same seed gives the same numbers in every batch.
        count: Number of transformations.
    """
    numbers = tf.map_fn(
        lambda seed: tf.random.stateless_uniform((count, NUMBERS), seed, dtype=tf.float64),
        seeds,
        fn_output_signature=tf.float64,
    )
    return tf.unstack(numbers, axis=1)
