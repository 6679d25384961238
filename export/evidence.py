"""Whether so few images can show that a bar is cleared; where they cannot, the interval that they leave open."""

import math

import numpy as np

BARELY = 1e-9
"""What rounding may take from a whole number."""


def too_few_to_agree(share: float, images: int, bar: float) -> str | None:
    """Why so few images cannot show that a share is at least `bar`; None if they can, or show that it is not.

    They are too few where one that differs would break the bar. Then what is known is the interval of Clopper and
    Pearson (1934), which holds the share of all such images with a confidence of 95 %.
    """
    if bar == 1 or images * (1 - bar) >= 1 - BARELY:  # to 1 no number of images would come
        return None
    from scipy.stats import binomtest

    interval = binomtest(round(share * images), images).proportion_ci(0.95, method="exact")
    if interval.high < bar:
        return None
    agree = "all agree" if share == 1 else f"{share:.2%} agree"
    return (
        f"{images} images are too few to show {bar:g}: {agree}, 95 % interval {interval.low:.2g} to "
        f"{interval.high:.2g}; give {math.ceil(1 / (1 - bar) - BARELY)}"
    )


def too_few_to_lose(right: np.ndarray, right_before: np.ndarray, bar: float) -> str | None:
    """Why so few images cannot show that accuracy falls by `bar` at most; None if they can, or show that it does not.

    They are too few where one that is lost would break the bar. Then what is known is the interval of Agresti and Min
    (Simple improved confidence intervals for comparing matched proportions, 2005), of 95 %.

    Args:
        right: Of each image, whether the artifact is.
        right_before: Whether the model is.
        bar: 0.01 for one point.
    """
    images = len(right)
    if bar == 0 or images * bar >= 1 - BARELY:
        return None
    lost, won = np.sum(right_before & ~right), np.sum(right & ~right_before)
    drop = (lost - won) / (images + 2)
    margin = 1.96 * math.sqrt(lost + won + 1 - (lost - won) ** 2 / (images + 2)) / (images + 2)
    if drop - margin > bar:
        return None
    return (
        f"{images} images are too few to show {bar:g}: {lost} are lost and {won} won, 95 % interval "
        f"{drop - margin:.2g} to {drop + margin:.2g}; give {math.ceil(1 / bar - BARELY)}"
    )
