"""How many image pixels a map moves with each of its steps, measured on the graph."""

from collections.abc import Mapping, Sequence

import keras

PROBE = 512
"""Pixels a side: a multiple of every stride there is, and more than any window."""


def measured_strides(image: keras.KerasTensor, maps: Mapping[str, keras.KerasTensor]) -> dict[str, int]:
    """The stride of each map `(batch, height, width, channels)` that is computed from `image`.

    Cards state strides too, but arguments can change them. An image that is `PROBE` pixels larger gives
    `PROBE / stride` more places, whatever the convolutions cut off at the border.
    """
    network = keras.Model(image, list(maps.values()))
    small, large = (_heights(network, (size, size, image.shape[-1])) for size in (PROBE, 2 * PROBE))
    return {name: PROBE // (more - less) for name, less, more in zip(maps, small, large, strict=True)}


def keeps_border(image: keras.KerasTensor, maps: Sequence[keras.KerasTensor]) -> bool:
    """Whether each map covers the whole image, as it does where every convolution and pooling is padded."""
    strides = measured_strides(image, {str(number): map_ for number, map_ in enumerate(maps)}).values()
    heights = _heights(keras.Model(image, list(maps)), (PROBE, PROBE, image.shape[-1]))
    return all(height * stride >= PROBE for height, stride in zip(heights, strides, strict=True))


def _heights(network: keras.Model, shape: tuple[int, int, int]) -> list[int]:
    """Of the outputs for an image of `shape`, whatever size `network` was made for."""
    image = keras.Input(shape)
    options = {
        "clone_function": lambda part: part,
        "call_function": lambda part, *args, **kwargs: part(*args, **kwargs),
    }
    return [output.shape[1] for output in keras.models.clone_model(network, image, **options).outputs]
