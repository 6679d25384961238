"""Calibration of a classifier: how its confidence compares with its accuracy."""

import numpy as np

BINS = 15


def reliability(confidence: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """Return the confidence and accuracy in 15 equal bins of confidence (Guo et al., arXiv:1706.04599).

    Args:
        confidence: Probability of each prediction, 0..1, `(images,)`.
        correct: Whether the prediction is correct, bool `(images,)`.

    Returns:
        One row for each bin, `(15, 3)`: number of images, mean confidence and accuracy; zeros for an empty bin. The
        bins are (0, 1/15] to (14/15, 1].
    """
    bin_of_image = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    count = np.bincount(bin_of_image, minlength=BINS)
    sums = [np.bincount(bin_of_image, weights=values, minlength=BINS) for values in (confidence, correct)]
    return np.stack([count, *(total / np.maximum(count, 1) for total in sums)], axis=1)


def calibration_error(bins: np.ndarray) -> float:
    """Return the expected calibration error of the bins of `reliability`, 0..1: their mean gap weighted by images."""
    count, confidence, accuracy = bins.T
    return float((count * np.abs(confidence - accuracy)).sum() / count.sum())
