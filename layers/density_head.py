"""The head of counting: a density of objects at each position of a feature map."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from .composite import call_chain
from .heads import Head

UNIT = 1 / (2 * math.pi)
"""Density at the middle of an object that is alone, spread by a Gaussian with a standard deviation of one position."""
LEAK = 0.1
"""Slope of negative densities in training: without one, a map that has once become 0 would stay so."""


@keras.saving.register_keras_serializable("pocketzoo")
class DensityHead(Head):
    """A feature map to the density of the objects of each class: its sum is their number.

    A 1x1 convolution and a ReLU (Zhang et al.: MCNN, doi.org/10.1109/CVPR.2016.70; Li et al.: CSRNet,
    arXiv:1802.10062). The convolution computes densities in units of that at the middle of an object, so that its
    values are near 0 and 1. The ReLU makes the density of no objects exactly 0 in 8 bits, too, where small errors of
    all positions would add up.

    Args:
        classes: Number of classes.
        labels: Names of the classes in the order of the outputs, or None.

    Input `(batch, height, width, channels)`, output `(batch, height, width, classes)`: objects per position, 0 or more.
    """

    TASK = "counting"

    def __init__(self, classes: int, *, labels: Sequence[str] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.keep_labels(labels, classes)
        self.classes = classes
        start = {"class_name": "RandomNormal", "config": {"stddev": 0.01}}
        self.scores = self.sublayer(keras.layers.Conv2D, "scores", classes, 1, kernel_initializer=start)
        self.unit = self.sublayer(keras.layers.Rescaling, "unit", UNIT, dtype="float32")
        self.density = self.sublayer(keras.layers.Activation, "density", "relu", dtype="float32")

    def chain(self, rank: int) -> list[keras.Layer]:
        """Convolution, unit, and the ReLU."""
        if rank != 4:
            raise ValueError(f"{self.name}: a counting head takes a map (rank 4); these features have rank {rank}.")
        return [self.scores, self.unit, self.density]

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Returns the density; in training negative values are a tenth of what they were, instead of 0."""
        if not training:
            return super().call(inputs, training)
        return ops.leaky_relu(call_chain([self.scores, self.unit], inputs, training), LEAK)
