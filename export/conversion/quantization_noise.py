"""Signal-to-noise ratio of every layer after quantization."""

from collections.abc import Callable, Collection, Sequence
from itertools import islice
from typing import Protocol

import numpy as np

from ..sample_images import Samples

IMAGES = 4
"""Enough for a ratio of sums over whole maps."""
REPORTED = 10
"""Number of layers in the report."""


class IntermediateTensors(Protocol):
    """A graph whose intermediate tensors can be read, under names that contain their source layers."""

    @property
    def names(self) -> Collection[str]:
        """Names of the tensors."""

    def run(self, *values: np.ndarray) -> dict[str, np.ndarray]:
        """Real values of every tensor by name, for a value of each input: an image is float32 `(height, width,
        channels)`."""


def noisiest_layers(
    float_graph: IntermediateTensors,
    integer_graph: IntermediateTensors,
    samples: Samples,
    layers_of: Callable[[str], Sequence[str]],
) -> dict[str, float]:
    """The layers most affected by quantization: signal-to-noise ratio in decibels, the lowest first.

    The ratio compares the sums of squares of the float values and of their differences from the quantized values. It
    includes the noise of all earlier layers: where it falls from one layer to the next, precision is lost.

    Args:
        float_graph: The graph in floating point.
        integer_graph: The quantized graph.
        samples: Images, of which the first few are run.
        layers_of: From the name of a tensor to the layers that compute it.
    """
    names = [name for name in integer_graph.names if name in float_graph.names]
    signal, noise = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    for values in islice(samples.values(), IMAGES):
        expected, actual = float_graph.run(*values), integer_graph.run(*values)
        for name in (name for name in names if expected[name].dtype.kind == "f"):
            difference = expected[name] - actual[name]
            signal[name] += float(np.vdot(expected[name], expected[name]))
            noise[name] += float(np.vdot(difference, difference))
    ratios: dict[str, float] = {}
    for name in names:
        if signal[name] and noise[name]:
            layer = " + ".join(layers_of(name)) or "answer"
            ratios[layer] = min(ratios.get(layer, np.inf), float(10 * np.log10(signal[name] / noise[name])))
    return dict(sorted(ratios.items(), key=lambda item: item[1])[:REPORTED])
