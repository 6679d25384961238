"""Statistics of the features of good images, in bounded memory."""

from collections.abc import Iterator

import numpy as np

REGULARIZATION = 0.01
"""Added to the variances, of channels with a deviation of 1, so that few images suffice (PaDiM, section III.B)."""


class PositionStatistics:
    """Mean and covariance of the features at each position of a map, added up batch by batch in float64.

    Args:
        positions: Number of positions.
        channels: Number of channels.
    """

    def __init__(self, positions: int, channels: int):
        self.count = 0
        self._origin = np.zeros((positions, channels))  # what is subtracted first, so that no digits are lost
        self._sums = np.zeros((positions, channels))
        self._products = np.zeros((positions, channels, channels))

    def add(self, features: np.ndarray) -> None:
        """Add a batch, `(count, positions, channels)`."""
        if not self.count:
            self._origin = features.mean(axis=0, dtype="float64")
        by_position = (features - self._origin).swapaxes(0, 1)
        self.count += len(features)
        self._sums += by_position.sum(axis=1)
        self._products += by_position.swapaxes(1, 2) @ by_position

    def standardized(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return mean and deviation of each channel over all positions, `(channels,)`; and in this unit the mean and
        the regularized covariance at each position, `(positions, channels)` and `(positions, channels, channels)`.

        Two images or more must have been added.
        """
        shift = self._sums / self.count
        means = shift + self._origin
        within = self._products - self.count * shift[:, :, np.newaxis] * shift[:, np.newaxis, :]
        covariance = within / (self.count - 1)
        variances = np.diagonal(covariance, axis1=1, axis2=2).mean(axis=0) + means.var(axis=0)
        deviation = usable_deviation(np.sqrt(variances.clip(0)))
        mean = means.mean(axis=0)
        scaled = covariance / np.outer(deviation, deviation) + REGULARIZATION * np.eye(len(deviation))
        return mean, deviation, (means - mean) / deviation, scaled


def usable_deviation(deviation: np.ndarray) -> np.ndarray:
    """Return deviations to divide by: 1 for channels that never change."""
    return np.where(deviation > 1e-6 * deviation.max(initial=0), deviation, 1.0)


def sampled_vectors(batches: Iterator[np.ndarray], images: int, most: int, seed: int) -> np.ndarray:
    """Return the features of random positions, as many of each image, at most `most` in all: `(count, channels)`.

    Args:
        batches: Features `(count, positions, channels)`.
        images: Number of images in all batches.
        most: Largest number of vectors.
        seed: Seed for the choice.
    """
    random = np.random.default_rng(seed)
    of_each = max(1, most // images)
    found = [own[random.permutation(len(own))[:of_each]] for features in batches for own in features.astype("float64")]
    vectors = np.concatenate(found)
    return vectors[random.permutation(len(vectors))[:most]]


def greedy_coreset(vectors: np.ndarray, size: int) -> np.ndarray:
    """Return the rows of a subset that is near to all vectors: each next one is the farthest from those before it.

    The greedy k-center of PatchCore (Roth et al., arXiv:2106.08265, algorithm 1), from the vector nearest to the mean
    on, without a random projection.

    Args:
        vectors: `(count, channels)`.
        size: Number of rows; at most `count`.
    """
    squares = (vectors**2).sum(axis=1)
    center = vectors.mean(axis=0)
    chosen = [int(((vectors - center) ** 2).sum(axis=1).argmin())]
    nearest = np.full(len(vectors), np.inf)
    while len(chosen) < size:
        latest = vectors[chosen[-1]]
        nearest = np.minimum(nearest, squares - 2 * vectors @ latest + latest @ latest)
        chosen.append(int(nearest.argmax()))
    return np.array(chosen)
