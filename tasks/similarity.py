"""How similar two pictures are: peak signal-to-noise ratio, and structural similarity."""

import numpy as np

PEAKS = (1.0, 255.0, 65535.0)
"""Largest values of usual pictures."""
MOST_DECIBELS = 100.0
"""PSNR of equal pictures, whose error is 0."""
SIDE, SIGMA = 11, 1.5
"""Side and standard deviation of the Gaussian windows of SSIM, in pixels."""
K1, K2 = 0.01, 0.03
"""Of the constants of SSIM, as shares of the range of the values."""


def peak_of(low: float, high: float, *, whole: bool) -> float:
    """Return the range of values from `low` to `high`.

    It is that of the smallest usual pictures that have them: shares from 0 to 1, or whole numbers of 8 or 16 bits. Of
    other values, such as distances in meters, it is the difference, or 1 of a single one.
    """
    usual = [peak for peak in (PEAKS if whole else PEAKS[:1]) if low >= 0 and high <= peak]
    return usual[0] if usual else high - low or 1.0


def psnr(squared_errors: np.ndarray, peak: float) -> np.ndarray:
    """Return the peak signal-to-noise ratio in decibels, at most `MOST_DECIBELS`, of mean squared errors."""
    floor = peak**2 * 10 ** (-MOST_DECIBELS / 10)
    return 10 * np.log10(peak**2 / np.maximum(squared_errors, floor))


def structural_similarity(target: np.ndarray, output: np.ndarray) -> np.ndarray:
    """Return the mean structural similarity of two pictures, for each of `PEAKS` as the range of their values.

    Wang, Bovik, Sheikh, Simoncelli: Image quality assessment (doi.org/10.1109/TIP.2003.819861), with the Gaussian
    windows of the paper, all of which lie within the picture; one that is smaller than a window is a single window.

    Args:
        target: `(height, width, channels)`.
        output: In the same shape.
    """
    x, y = target.astype("float64"), output.astype("float64")
    mean_x, mean_y = _smooth(x), _smooth(y)
    products = mean_x * mean_y
    squares = mean_x**2 + mean_y**2
    variances = _smooth(x**2 + y**2) - squares
    covariance = _smooth(x * y) - products
    return np.array([_ssim(products, squares, variances, covariance, peak) for peak in PEAKS])


def _ssim(
    products: np.ndarray, squares: np.ndarray, variances: np.ndarray, covariance: np.ndarray, peak: float
) -> float:
    first, second = (K1 * peak) ** 2, (K2 * peak) ** 2
    luminance = (2 * products + first) / (squares + first)
    return float((luminance * (2 * covariance + second) / (variances + second)).mean())


def _smooth(values: np.ndarray) -> np.ndarray:
    """Return the weighted means in all windows within the picture."""
    for axis in (0, 1):
        side = min(SIDE, values.shape[axis])
        window = np.exp(-((np.arange(side) - (side - 1) / 2) ** 2) / (2 * SIGMA**2))
        shifted = np.lib.stride_tricks.sliding_window_view(values, side, axis=axis)
        values = shifted @ (window / window.sum())
    return values
