"""Pictures of any size through a model of a fixed size: in tiles that overlap, blended where they do."""

from collections.abc import Callable

import numpy as np

OVERLAP = 1 / 4
"""Share of a tile that the next one also shows, at least."""


def run_in_tiles(picture: np.ndarray, height: int, width: int, run: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return what a model makes of a picture that is larger or smaller than its input, float32.

    Tiles are run one by one. Where two overlap, the weight of each falls off linearly towards its edge, so that no seam
    is visible. A smaller picture is continued by its edge, and the result is cropped.

    Args:
        picture: `(rows, columns, channels)`.
        height: Height of the model's input.
        width: Width of the model's input.
        run: The model: `(height, width, channels)` to a picture whose sides are a multiple of these.
    """
    rows, columns = picture.shape[:2]
    missing = ((0, max(height - rows, 0)), (0, max(width - columns, 0)), (0, 0))
    padded = np.pad(picture, missing, mode="edge")
    total = weights = np.zeros(0)
    scale = 1
    for top in _starts(padded.shape[0], height):
        for left in _starts(padded.shape[1], width):
            made = run(padded[top : top + height, left : left + width])
            if not total.size:
                scale = made.shape[0] // height
                sides = (padded.shape[0] * scale, padded.shape[1] * scale)
                total, weights = np.zeros((*sides, made.shape[-1])), np.zeros((*sides, 1))
            at = np.s_[top * scale : (top + height) * scale, left * scale : (left + width) * scale]
            weight = _weights(made.shape[0])[:, np.newaxis, np.newaxis] * _weights(made.shape[1])[:, np.newaxis]
            total[at] += weight * made
            weights[at] += weight
    return (total / weights)[: rows * scale, : columns * scale].astype("float32")


def _starts(length: int, tile: int) -> list[int]:
    """Return where tiles begin along an axis: evenly, the first at its start and the last at its end."""
    step = max(1, round(tile * (1 - OVERLAP)))
    count = 1 + -(-(length - tile) // step)
    return np.linspace(0, length - tile, count).round().astype(int).tolist()


def _weights(length: int) -> np.ndarray:
    """Return weights that rise linearly from both edges, and are 1 in the middle."""
    from_edge = np.minimum(np.arange(length), np.arange(length)[::-1]) + 1
    return np.minimum(from_edge / max(1, round(length * OVERLAP)), 1)
