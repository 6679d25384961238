"""Difference between the outputs of an artifact and those of Keras, accumulated over batches."""

import numpy as np

EPSILON = float(np.finfo("float32").eps)


class Difference:
    """Accumulated difference between two sets of outputs, and the variation of the second."""

    def __init__(self) -> None:
        self._images = self._values = 0
        self._squared_error = self._squares = self._peak = 0.0
        self._origin: np.ndarray | None = None
        self._offset_sum: np.ndarray | float = 0.0
        self._squared_offsets = 0.0

    def add(self, outputs: np.ndarray, reference: np.ndarray) -> None:
        """Add a batch of outputs, both `(count, ...)`."""
        reference = reference.astype("float64")
        self._images += len(reference)
        self._values += reference.size
        self._squared_error += float(np.sum((outputs - reference) ** 2))
        self._squares += float(np.sum(reference**2))
        self._peak = max(self._peak, float(np.abs(reference).max()))
        # Variances from offsets to the first image: outputs may vary by 1e-9 of their values.
        self._origin = reference[0].copy() if self._origin is None else self._origin
        reference -= self._origin
        self._offset_sum = self._offset_sum + reference.sum(axis=0)
        self._squared_offsets += float(np.sum(reference**2))

    @property
    def relative(self) -> float:
        """Root-mean-square difference, relative to the root-mean-square variation of the reference over the images.

        Relative to the variation and not to the values: an untrained model has nearly the same outputs for every image,
        and any threshold on the plain difference would let a wrong artifact pass. Infinite without any variation. Not
        counted are differences of one unit in the last place of the largest output, which are the rounding of float32
        in the reference itself: the outputs of a saturated softmax vary by less.
        """
        variation = self._squared_offsets - float(np.sum(np.square(self._offset_sum))) / self._images
        error = np.maximum(0.0, self._squared_error - self._values * (EPSILON * self._peak) ** 2)
        return float(np.sqrt(error / variation)) if variation > 0 else float("inf")

    @property
    def relative_to_values(self) -> float:
        """Root-mean-square difference, relative to the root-mean-square output."""
        return float(np.sqrt(self._squared_error / self._squares)) if self._squares else float("inf")

    @property
    def psnr_db(self) -> float | None:
        """`10 log10(peak^2 / mean squared error)`; None where the error is zero or not finite."""
        error = self._squared_error / self._values
        return float(10 * np.log10(self._peak**2 / error)) if np.isfinite(error) and error > 0 else None


def relative_difference(outputs: np.ndarray, reference: np.ndarray) -> float:
    """`Difference.relative` of whole arrays."""
    difference = Difference()
    difference.add(outputs, reference)
    return difference.relative
