"""TF-MOT's pruning engine and schedules on Keras 3 variables. The only module that imports TF-MOT.

TF-MOT's public API refuses Keras 3 models (tensorflow/model-optimization#1119). What does the work there is `Pruning`,
a class that is given plain variables. It is private, so `pyproject.toml` caps TF-MOT's version, and
`tests/training/test_tfmot.py` holds the masks against those of `prune_low_magnitude`.
"""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

# Importing TF-MOT turns `tf.keras` into tf_keras for the whole process: harmless, since nothing here uses `tf.keras`.
from tensorflow_model_optimization.python.core.sparsity.keras import pruning_impl, pruning_schedule


class MagnitudePruning:
    """Masks the smallest weights of `kernels`, ever more of them as `optimizer.iterations` goes up.

    Args:
        kernels: Variables to prune, each on its own.
        step: Gives the training step, an int64 scalar tensor.
        sparsity: Share of zeros at the end, 0 up to but not including 1.
        end_step: Step at which it is reached, on TF-MOT's cubic `PolynomialDecay` from 0 at step 0.
        frequency: Steps between two updates of the masks.
    """

    def __init__(
        self,
        kernels: Sequence[keras.Variable],
        step: Callable[[], tf.Tensor],
        *,
        sparsity: float,
        end_step: int,
        frequency: int,
    ):
        self.masks = [tf.Variable(tf.cast(kernel.value != 0, kernel.dtype), trainable=False) for kernel in kernels]
        schedule = pruning_schedule.PolynomialDecay(0.0, sparsity, 0, end_step, frequency=frequency)
        triples = [
            (kernel.value, mask, tf.Variable(0.0, dtype=kernel.dtype, trainable=False))
            for kernel, mask in zip(kernels, self.masks, strict=True)
        ]
        self._engine = pruning_impl.Pruning(step, triples, schedule, block_size=(1, 1), block_pooling_type="AVG")

    @tf.function
    def update(self) -> None:
        """Updates the masks if the schedule says so at this step, and zeroes what they mask."""
        self._engine.conditional_mask_update()
        self._engine.weight_mask_op()


class Masked(keras.constraints.Constraint):
    """Keeps masked weights at zero; the optimizer applies it inside the compiled step."""

    def __init__(self, mask: tf.Variable, own: keras.constraints.Constraint | None):
        self._mask = mask
        self._own = own

    def __call__(self, weights):
        """`weights` under the variable's own constraint, if it has one, with zeros where the mask has them."""
        return (weights if self._own is None else self._own(weights)) * self._mask
