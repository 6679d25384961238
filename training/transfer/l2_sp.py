"""L2-SP: a penalty on the distance of the weights from their pretrained values.

Li, Grandvalet, Davoine: Explicit Inductive Bias for Transfer Learning with Convolutional Networks (arXiv:1802.01483).
"""

from collections.abc import Iterable
from typing import Any

import keras
from keras import ops


class L2SP(keras.layers.Layer):
    """Returns its inputs and adds `strength / 2 * sum((weight - start) ** 2)` to the loss, in training only.

    It follows the outputs of a network during training, so it is not part of the saved model. Validation losses do not
    include the penalty: they are comparable with those of other phases.

    Args:
        strength: Coefficient of the penalty, alpha in the paper.
        starts: Variables, each with its pretrained value.
    """

    def __init__(self, strength: float, starts: Iterable[tuple[keras.Variable, object]], **kwargs: Any):
        super().__init__(autocast=False, **kwargs)
        pairs = [(variable, ops.convert_to_tensor(start)) for variable, start in starts]
        # In a closure, because Keras would track variables in an attribute as weights of this layer.
        self._penalty = lambda: strength / 2 * sum(ops.sum(ops.square(v - start)) for v, start in pairs)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the inputs, and add the penalty in training."""
        if training:
            self.add_loss(self._penalty())
        return inputs
