"""How many image pixels a map moves with each of its steps, measured on the graph."""

from collections.abc import Mapping
from typing import NamedTuple

import keras

PROBE = 512
"""Pixels a side: a multiple of every stride there is, and more than any window."""


class Grid(NamedTuple):
    """How the places of a map lie on the image."""

    stride: int
    """Image pixels for each step."""
    covers: bool
    """Whether the places cover the whole image, as they do where every convolution and pooling is padded."""


def measure_grids(image: keras.KerasTensor, maps: Mapping[str, keras.KerasTensor]) -> dict[str, Grid]:
    """The grid of each map `(batch, height, width, channels)` that is computed from `image`.

    Cards state strides too, but arguments can change them. An image that is `PROBE` pixels larger gives
    `PROBE / stride` more places, whatever the convolutions cut off at the border.
    """
    network = keras.Model(image, list(maps.values()))
    small, large = (_heights(network, (size, size, image.shape[-1])) for size in (PROBE, 2 * PROBE))
    strides = [PROBE // (more - less) for less, more in zip(small, large, strict=True)]
    return {
        name: Grid(stride, height * stride >= PROBE) for name, stride, height in zip(maps, strides, small, strict=True)
    }


def _heights(network: keras.Model, shape: tuple[int, int, int]) -> list[int]:
    """Of the outputs for an image of `shape`, whatever size `network` was made for."""
    image = keras.Input(shape)
    options = {
        "clone_function": lambda part: part,
        "call_function": lambda part, *args, **kwargs: part(*args, **kwargs),
    }
    return [output.shape[1] for output in keras.models.clone_model(network, image, **options).outputs]
