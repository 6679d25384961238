"""Boxes: left, top, right and bottom edge as shares of the image's width and height, from the left and from the top."""

import numpy as np

from .object_targets import NO_CLASS

MOST_FOUND = 100
"""Largest number of objects found in an image, as in COCO's metric."""
FAINTEST = 0.01
"""Score below which a candidate is none."""


def found_in(output: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return boxes `(count, 4)`, class indices and scores of the objects that an output has, the best first.

    A position may be several, of different classes, as in COCO's metric.

    Args:
        output: Output for one image, `(candidates, 4 + classes)`.
    """
    scores = output[:, 4:]
    positions, classes = np.nonzero(scores >= FAINTEST)
    order = np.argsort(-scores[positions, classes], kind="stable")[:MOST_FOUND]
    positions, classes = positions[order], classes[order]
    return output[positions, :4], classes, scores[positions, classes]


def true_in(target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return boxes `(count, 4)` and class indices of the targets of one image, `(most, 5)`."""
    rows = target[target[:, 4] > NO_CLASS]
    return rows[:, :4], rows[:, 4].astype("int64")


def overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return intersection over union of each pair of boxes, `(boxes, others)`."""
    first, second = boxes[:, np.newaxis], others[np.newaxis]
    sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    shared = sides.clip(0).prod(axis=-1)
    areas = [(each[..., 2:] - each[..., :2]).prod(axis=-1) for each in (first, second)]
    return shared / np.maximum(sum(areas) - shared, 1e-12)
