"""Test-time augmentation: the outputs of a model are averaged over several views of every image."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ...core.errors import unknown

SHIFT = 1 / 32
"""Translation of the `shift` views as a share of the side; at least one pixel."""


class View(NamedTuple):
    """A transformation of images, and its inverse for the outputs."""

    transform: Callable[[np.ndarray], np.ndarray]
    """Maps images `(count, height, width, channels)` to the model's input, of the same shape and dtype."""
    restore: Callable[[np.ndarray, int], np.ndarray]
    """Maps outputs `(count, height, width, classes)` back to the pixels of the original image, whose height is the
    second argument. Outputs without spatial positions are averaged as they are."""


def _mirror(maps: np.ndarray) -> np.ndarray:
    return maps[:, :, ::-1]


def _shift(down: int, right: int) -> View:
    def translate(maps: np.ndarray, direction: int, scale: float) -> np.ndarray:
        """Translate maps with `scale` pixels for one of the image; the nearest edge fills new rows and columns."""
        height, width = maps.shape[1:3]
        steps = (round(scale * max(1, round(SHIFT * side / scale))) for side in (height, width))
        lower, farther = (direction * step for step in steps)
        rows, columns = np.arange(height) - down * lower, np.arange(width) - right * farther
        return maps[:, rows.clip(0, height - 1)[:, None], columns.clip(0, width - 1)]

    return View(
        lambda images: translate(images, 1, 1.0),
        lambda outputs, height: translate(outputs, -1, outputs.shape[1] / height),
    )


IDENTITY = View(lambda images: images, lambda outputs, height: outputs)
VIEWS: dict[str, tuple[View, ...]] = {
    "flip": (IDENTITY, View(_mirror, lambda outputs, height: _mirror(outputs))),
    "shift": (IDENTITY, _shift(1, 0), _shift(-1, 0), _shift(0, 1), _shift(0, -1)),
}
"""Views by name: `flip`, original and mirrored, for images whose left and right do not matter (photos, not digits);
`shift`, original and translated by a few pixels in each of the four directions."""


def check_views(name: str | None) -> None:
    """Raise InputError where there are no views of a name; None stands for the image alone."""
    if name not in (None, *VIEWS):
        raise unknown("test-time augmentation", name, VIEWS)
