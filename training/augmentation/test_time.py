"""Test-time augmentation: a model's answers are averaged over several views of every image."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

SHIFT = 1 / 32
"""Of the side, in the views called `shift`; at least one pixel."""


class View(NamedTuple):
    """A way to look at images, and the way back."""

    show: Callable[[np.ndarray], np.ndarray]
    """Images `(count, height, width, channels)` to what the model is to see, of the same shape and type."""
    restore: Callable[[np.ndarray], np.ndarray]
    """Answers that are maps, `(count, height, width, classes)`, to the places of the image as it was; answers without
    places are averaged as they are."""


def _mirror(maps: np.ndarray) -> np.ndarray:
    return maps[:, :, ::-1]


def _shift(down: int, right: int) -> View:
    def moved(maps: np.ndarray, direction: int) -> np.ndarray:
        """Rows and columns that come in are those of the edge."""
        height, width = maps.shape[1:3]
        rows = np.arange(height) - direction * down * max(1, round(SHIFT * height))
        columns = np.arange(width) - direction * right * max(1, round(SHIFT * width))
        return maps[:, rows.clip(0, height - 1)[:, None], columns.clip(0, width - 1)]

    return View(lambda images: moved(images, 1), lambda answers: moved(answers, -1))


AS_IT_IS = View(lambda images: images, lambda answers: answers)
VIEWS: dict[str, tuple[View, ...]] = {
    "flip": (AS_IT_IS, View(_mirror, _mirror)),
    "shift": (AS_IT_IS, _shift(1, 0), _shift(-1, 0), _shift(0, 1), _shift(0, -1)),
}
"""By name: `flip`, as it is and mirrored, where left and right do not matter (photos, but no digits); `shift`, as it is
and moved by a few pixels in each of the four directions."""
