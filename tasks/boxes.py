"""Boxes: left, top, right and bottom edge as shares of the image's width and height, from the left and from the top."""

import numpy as np

from .object_targets import NO_CLASS

MOST_FOUND = 100
"""Largest number of objects found in an image, as in COCO's metric."""
FAINTEST = 0.01
"""Score below which a candidate is none."""
SAME = 0.6
"""Overlap from which two boxes of a class are the same object, found twice."""


def found_in(output: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return boxes `(count, 4)`, class indices and scores of the objects that an output has, the best first.

    A position may be several, of different classes, as in COCO's metric. The maps of a pyramid may each find an object;
    of boxes of a class that overlap by 0.6 or more, the best one is kept.

    Args:
        output: Output for one image, `(candidates, 4 + classes)`.
    """
    scores = output[:, 4:]
    positions, classes = np.nonzero(scores >= FAINTEST)
    order = np.argsort(-scores[positions, classes], kind="stable")[: 3 * MOST_FOUND]
    positions, classes = positions[order], classes[order]
    kept = suppressed(output[positions, :4], classes)[:MOST_FOUND]
    positions, classes = positions[kept], classes[kept]
    return output[positions, :4], classes, scores[positions, classes]


def suppressed(boxes: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the indices of the boxes that remain of those in the order of their scores, by non-maximum suppression.

    A box is left out where it overlaps a better one of its class that remains by 0.6 or more.
    """
    same = (overlaps(boxes, boxes) >= SAME) & (classes[:, np.newaxis] == classes)
    remains = np.ones(len(boxes), bool)
    for index in np.flatnonzero(np.tril(same, -1).any(axis=1)):
        remains[index] = not (same[index, :index] & remains[:index]).any()
    return np.flatnonzero(remains)


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
