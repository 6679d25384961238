"""L2-SP: training keeps near the weights that it started from.

Li, Grandvalet, Davoine: Explicit Inductive Bias for Transfer Learning with Convolutional Networks (arXiv:1802.01483).
"""

from collections.abc import Iterable

import keras
from keras import ops


class L2SP(keras.layers.Layer):
    """Passes on what it gets and adds `strength / 2 * sum((weight - start) ** 2)` to the loss, in training only.

    It stands behind a network's outputs while that is trained, and so is no part of the model that is saved. Losses of
    validation do not have the penalty: they stay comparable with those of other phases.

    Args:
        strength: Factor of the penalty, alpha in the paper.
        starts: Variables, each with the value to keep near to.
    """

    def __init__(self, strength: float, starts: Iterable[tuple[keras.Variable, object]], **kwargs):
        super().__init__(autocast=False, **kwargs)
        pairs = [(variable, ops.convert_to_tensor(start)) for variable, start in starts]
        # In a closure, because Keras would count variables in an attribute as this layer's own.
        self._penalty = lambda: strength / 2 * sum(ops.sum(ops.square(v - start)) for v, start in pairs)

    def call(self, inputs, training=None):
        """The inputs."""
        if training:
            self.add_loss(self._penalty())
        return inputs
