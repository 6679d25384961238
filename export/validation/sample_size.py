"""Whether a number of images is enough to show that a threshold is met; if not, the remaining confidence interval."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

ROUNDING = 1e-9
"""Largest rounding error of a whole number."""
MIN_MARGINS = 10
"""Images without which nothing is known of the distribution of margins."""


def too_few_to_agree(share: float, images: int, threshold: float) -> str | None:
    """Why the images cannot show that a share is at least `threshold`; None if they can, or show that it is not.

    They are too few where a single disagreement would violate the threshold. The 95 % confidence interval of the share
    is then that of Clopper and Pearson (1934).
    """
    if _enough(images, 1 - threshold):
        return None
    from scipy.stats import binomtest

    interval = binomtest(round(share * images), images).proportion_ci(0.95, method="exact")
    if interval.high < threshold:
        return None
    agree = "all agree" if share == 1 else f"{share:.2%} agree"
    return (
        f"{images} images are too few to show {threshold:g}: {agree}, 95 % interval {interval.low:.2g} to "
        f"{interval.high:.2g}; give {math.ceil(1 / (1 - threshold) - ROUNDING)}"
    )


def too_few_to_lose(losses: np.ndarray, threshold: float) -> str | None:
    """Why the images cannot show that accuracy falls by at most `threshold`; None if they can, or if it falls more.

    They are too few where a single lost image would violate the threshold. The 95 % confidence interval is then that of
    Agresti and Min (Simple improved confidence intervals for comparing matched proportions, 2005).

    Args:
        losses: For each image, 1 where only the model is correct, -1 where only the artifact is, else 0.
        threshold: 0.01 for one point.
    """
    images = len(losses)
    if _enough(images, threshold):
        return None
    lost, won = int(np.sum(losses > 0)), int(np.sum(losses < 0))
    drop = (lost - won) / (images + 2)
    margin = 1.96 * math.sqrt(lost + won + 1 - (lost - won) ** 2 / (images + 2)) / (images + 2)
    if drop - margin > threshold:
        return None
    return (
        f"{images} images are too few to show {threshold:g}: {lost} are lost and {won} won, 95 % interval "
        f"{drop - margin:.2g} to {drop + margin:.2g}; give {math.ceil(1 / threshold - ROUNDING)}"
    )


def too_few_on_average(
    values: Callable[[], np.ndarray], images: int, operator: Literal[">=", "<="], threshold: float
) -> str | None:
    """Why the images cannot show that a mean meets `threshold`; None if they can, or show that it does not.

    For outputs that can be partly correct, such as maps and numbers. The images are too few where a single one that is
    completely wrong would violate the threshold, and the 95 % interval of Student's t extends over it.

    Args:
        values: Computes the share that agrees, or the loss, of each image.
        images: Number of images.
        operator: Whether the mean must be at least the threshold, as for a share, or at most, as for a loss.
        threshold: 0.98 for a share, 0.01 for a loss of one point.
    """
    room = 1 - threshold if operator == ">=" else threshold
    if _enough(images, room):
        return None
    from scipy.stats import t

    by_image = values()
    mean = by_image.mean()
    margin = t.ppf(0.975, images - 1) * by_image.std(ddof=1) / math.sqrt(images) if images > 1 else math.inf
    low, high = mean - margin, mean + margin
    met, surely_met = (
        (mean >= threshold, low >= threshold) if operator == ">=" else (mean <= threshold, high <= threshold)
    )
    if surely_met or not met:
        return None
    return (
        f"{images} images are too few to show {threshold:g}: {mean:.3g} on average, 95 % interval {low:.3g} to "
        f"{high:.3g}; give {math.ceil(1 / room - ROUNDING)}"
    )


@dataclass(frozen=True)
class MarginTest:
    """How many decisions would change if all errors were larger."""

    images: int
    factor: int
    """By which errors are multiplied."""
    changed: int
    """Images that are decided otherwise then."""

    @property
    def changed_at_most(self) -> float:
        """Upper end of the 95 % confidence interval of the share of decisions that change, with the errors as they are.

        It assumes that the share grows at least in proportion to the errors, up to `factor`.
        """
        return _upper_end(self.changed, self.images) / self.factor

    @property
    def sentence(self) -> str:
        """The result in words."""
        changed = "no image" if not self.changed else f"{self.changed} of {self.images} images"
        return f"with {self.factor} times the errors {changed} would be decided otherwise"


def measure_margins(margins: np.ndarray, room: float) -> MarginTest | None:
    """Multiply the errors of an artifact until few images are enough to show that few decisions change.

    An accelerated test: one decision in fifty changes where the error of an output exceeds the margin between the two
    most probable classes. Where errors `k` times as large would change a share p of the decisions, those that there are
    change at most p / k, as long as small margins are no more frequent than moderate ones: a classifier that was
    trained has few images at the boundary between classes. The factor is the smallest at which it suffices that no
    image changes.

    Args:
        margins: For each image, the factor from which on it is decided otherwise.
        room: Share of decisions that may change, 0..1.

    Returns:
        The result; None where there are fewer images than `MIN_MARGINS`, or without room.
    """
    images = len(margins)
    if room <= 0 or images < MIN_MARGINS:
        return None
    factor = max(1, math.ceil(_upper_end(0, images) / room))
    return MarginTest(images, factor, int(np.sum(margins <= factor)))


def _upper_end(count: int, images: int) -> float:
    """Upper end of the 95 % confidence interval of a share by Clopper and Pearson."""
    from scipy.stats import binomtest

    return float(binomtest(count, images).proportion_ci(0.95, method="exact").high)


def _enough(images: int, room: float) -> bool:
    """Whether one completely wrong image does not violate the threshold; without room, no number is enough."""
    return room == 0 or images * room >= 1 - ROUNDING
