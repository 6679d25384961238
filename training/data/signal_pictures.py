"""Pictures of signals and volumes for reports and contact sheets."""

import numpy as np

HEIGHT = 48
"""Rows of a picture of a signal."""


def as_pictures(values: np.ndarray, dimensions: int) -> np.ndarray:
    """Return what can be drawn: images as they are, the traces of signals, the middle slice of volumes.

    Args:
        values: uint8 `(..., channels)`.
        dimensions: Number of spatial axes before the channels.

    Returns:
        uint8 `(..., height, width, channels)`; traces have one channel, and the lowest value is at the bottom.
    """
    if dimensions == 3:
        return np.take(values, values.shape[-4] // 2, axis=-4)
    if dimensions == 2:
        return values
    levels = (255 - values.astype("int64")) * HEIGHT // 256  # row of each sample, from the top
    before = np.concatenate([levels[..., :1, :], levels[..., :-1, :]], axis=-2)
    low, high = np.minimum(levels, before), np.maximum(levels, before)  # a vertical line joins neighbors
    rows = np.arange(HEIGHT).reshape(-1, 1, 1)
    is_drawn = ((rows >= low[..., np.newaxis, :, :]) & (rows <= high[..., np.newaxis, :, :])).any(axis=-1)
    return np.where(is_drawn, 0, 255).astype("uint8")[..., np.newaxis]


def as_drawn_maps(maps: np.ndarray, dimensions: int) -> np.ndarray:
    """Return masks or outputs, with the axes of the positions from the second on, as they go with `as_pictures`."""
    if dimensions == 3:
        return maps[:, maps.shape[1] // 2]
    return np.repeat(maps[:, np.newaxis], HEIGHT, axis=1) if dimensions == 1 else maps
