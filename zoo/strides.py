"""Strides of feature maps in image pixels, measured on the graph."""

from collections.abc import Mapping
from typing import NamedTuple

import keras

from ..core.flat_graph import retrace

PROBE = 512
"""Sides in pixels of the smaller image: a multiple of every stride, and larger than any window."""


class Grid(NamedTuple):
    """Position of a feature map's pixels on the image."""

    stride: int
    """Image pixels per pixel of the map."""
    covers: bool
    """Whether the map covers the whole image, as it does if every convolution and pooling is padded."""


def measure_grids(image: keras.KerasTensor, maps: Mapping[str, keras.KerasTensor]) -> dict[str, Grid]:
    """Return the grid of each map `(batch, ..., channels)` that is computed from `image`, or from a signal or volume.

    Cards state strides too, but arguments can change them. For an image that is `PROBE` pixels larger, a map has
    `PROBE / stride` more pixels a side, whatever unpadded convolutions remove at the border.
    """
    network = keras.Model(image, list(maps.values()))
    sides = len(image.shape) - 2
    small, large = (_heights(network, ((size,) * sides + (image.shape[-1],))) for size in (PROBE, 2 * PROBE))
    strides = [PROBE // (more - less) for less, more in zip(small, large, strict=True)]
    return {
        name: Grid(stride, height * stride >= PROBE) for name, stride, height in zip(maps, strides, small, strict=True)
    }


def _heights(network: keras.Model, shape: tuple[int, ...]) -> list[int]:
    """Return the heights of the outputs for an image of `shape`, whatever size `network` was made for."""
    return [output.shape[1] for output in retrace(network, keras.Input(shape)).outputs]
