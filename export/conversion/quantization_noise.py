"""What integers do to every tensor of a graph."""

from collections.abc import Collection
from typing import Protocol

import numpy as np

from ..tflite_schema.layer_names import layers_of

IMAGES = 4
"""Enough for a ratio of sums over whole maps."""
WORST = 10
"""So many layers are named."""


class Tapped(Protocol):
    """A graph whose tensors can be read, under names that tell the layers that computed them."""

    names: Collection[str]

    def run(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Real values of every tensor by its name, for an image `(height, width, channels)` of float32."""


def noisiest_layers(floats: Tapped, integers: Tapped, images: np.ndarray) -> dict[str, float]:
    """The layers whose answers suffer most from integers: signal-to-noise ratio in decibels, the worst first.

    The ratio is that of the sums of squares, of the values in floats and of what integers make of them, with all that
    went wrong on the way there: where it falls from one layer to the next, something is lost.

    Args:
        floats: A graph.
        integers: What was made of it.
        images: `(count, height, width, channels)`; the first few are run.
    """
    names = [name for name in integers.names if name in floats.names]
    signal, noise = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    for image in np.float32(images[:IMAGES]):
        expected, found = floats.run(image), integers.run(image)
        for name in names:
            difference = expected[name] - found[name]
            signal[name] += float(np.vdot(expected[name], expected[name]))
            noise[name] += float(np.vdot(difference, difference))
    ratios: dict[str, float] = {}
    for name in names:
        if signal[name] and noise[name]:
            layer = " + ".join(layers_of(name)) or "answer"
            ratios[layer] = min(ratios.get(layer, np.inf), float(10 * np.log10(signal[name] / noise[name])))
    return dict(sorted(ratios.items(), key=lambda item: item[1])[:WORST])
