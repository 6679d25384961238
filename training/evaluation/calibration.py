"""Whether a classifier is right as often as it says."""

import numpy as np

BINS = 15


def reliability(confidence: np.ndarray, right: np.ndarray) -> np.ndarray:
    """What is said beside what comes true, in 15 equal bins of confidence (Guo et al., arXiv:1706.04599).

    Args:
        confidence: Probability of each answer, 0..1, `(images,)`.
        right: Whether it is the right one, `(images,)`.

    Returns:
        One row a bin, `(15, 3)`: the number of its images, their mean confidence and the share that is right; zeros of
        an empty bin. The bins are (0, 1/15] to (14/15, 1].
    """
    of_image = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    count = np.bincount(of_image, minlength=BINS)
    sums = [np.bincount(of_image, weights=values, minlength=BINS) for values in (confidence, right)]
    return np.stack([count, *(total / np.maximum(count, 1) for total in sums)], axis=1)


def calibration_error(bins: np.ndarray) -> float:
    """The expected calibration error: the mean gap of the bins of `reliability`, weighted by their images, 0..1."""
    count, confidence, accuracy = bins.T
    return float((count * np.abs(confidence - accuracy)).sum() / count.sum())
