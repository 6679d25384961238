"""Whether so few images can show that a bar is cleared; where they cannot, the interval that they leave open."""

import math
from collections.abc import Callable
from typing import Literal

import numpy as np

BARELY = 1e-9
"""What rounding may take from a whole number."""


def too_few_to_agree(share: float, images: int, bar: float) -> str | None:
    """Why so few images cannot show that a share is at least `bar`; None if they can, or show that it is not.

    They are too few where one that differs would break the bar. Then what is known is the interval of Clopper and
    Pearson (1934), which holds the share of all such images with a confidence of 95 %.
    """
    if _enough(images, 1 - bar):
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


def too_few_to_lose(losses: np.ndarray, bar: float) -> str | None:
    """Why so few images cannot show that accuracy falls by `bar` at most; None if they can, or show that it does not.

    They are too few where one that is lost would break the bar. Then what is known is the interval of Agresti and Min
    (Simple improved confidence intervals for comparing matched proportions, 2005), of 95 %.

    Args:
        losses: Of each image: 1 where the model alone is right, -1 where the artifact alone is, else 0.
        bar: 0.01 for one point.
    """
    images = len(losses)
    if _enough(images, bar):
        return None
    lost, won = np.sum(losses > 0), np.sum(losses < 0)
    drop = (lost - won) / (images + 2)
    margin = 1.96 * math.sqrt(lost + won + 1 - (lost - won) ** 2 / (images + 2)) / (images + 2)
    if drop - margin > bar:
        return None
    return (
        f"{images} images are too few to show {bar:g}: {lost} are lost and {won} won, 95 % interval "
        f"{drop - margin:.2g} to {drop + margin:.2g}; give {math.ceil(1 / bar - BARELY)}"
    )


def too_few_on_average(
    values: Callable[[], np.ndarray], images: int, operator: Literal[">=", "<="], bar: float
) -> str | None:
    """Why so few images cannot show that what they come to on average is within `bar`; None if they can, or do not.

    For answers that may be right in part, as maps and numbers are. The images are too few where one that is all wrong
    would break the bar, and the 95 % interval of Student's t reaches over it.

    Args:
        values: Gives of each image what share of it agrees, or what is lost.
        images: How many there are.
        operator: Whether their mean is to be at least the bar, a share, or at most, a loss.
        bar: 0.98 for a share, 0.01 for a loss of one point.
    """
    room = 1 - bar if operator == ">=" else bar
    if _enough(images, room):
        return None
    from scipy.stats import t

    found = values()
    mean = found.mean()
    margin = t.ppf(0.975, images - 1) * found.std(ddof=1) / math.sqrt(images) if images > 1 else math.inf
    low, high = mean - margin, mean + margin
    within, surely = (mean >= bar, low >= bar) if operator == ">=" else (mean <= bar, high <= bar)
    if surely or not within:
        return None
    return (
        f"{images} images are too few to show {bar:g}: {mean:.3g} on average, 95 % interval {low:.3g} to {high:.3g}; "
        f"give {math.ceil(1 / room - BARELY)}"
    )


def _enough(images: int, room: float) -> bool:
    """Whether one that is all wrong does not break the bar; where a bar leaves no room, no number would be enough."""
    return room == 0 or images * room >= 1 - BARELY
