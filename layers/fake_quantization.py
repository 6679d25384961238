"""Fake quantization: floats rounded to the values that integers represent, so that training adapts to them.

Jacob et al.: Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference
(arXiv:1712.05877), section 3.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops
from keras.quantizers import fake_quant_with_min_max_vars

from .composite import Shape

SMALLEST_RANGE = 1e-2
"""Smallest range of activations that are all 0 or nearly so. XNNPACK's kernels corrupt memory if the scale of the input
is too many times that of the output."""


@keras.saving.register_keras_serializable("pocketzoo")
class FakeQuantize(keras.layers.Layer):
    """Rounds a tensor to the quantization grid of its range; inside the range, the gradient is passed straight through.

    With 8 bits there are 255 steps from the minimum to the maximum, one of them at 0. With 16 bits there are 65534
    steps, as many below 0 as above, as in TFLite's 16x8 quantization. The range follows the minimum and maximum of each
    training batch: their mean over the first batches, then a moving average. It always contains 0. Before the first
    batch it is -1 to 1.

    Args:
        bits: 8 or 16.
        limits: Minimum and maximum, if known beforehand; by default they are learned.
        momentum: Momentum of the moving average.

    Input and output have the same shape, of any rank.
    """

    def __init__(
        self, *, bits: int = 8, limits: Sequence[float] | None = None, momentum: float = 0.99, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if bits not in (8, 16):
            raise ValueError(f"{self.name}: bits is {bits!r}; allowed are 8 and 16.")
        if limits is not None and not (limits[0] <= 0 <= limits[1] and limits[0] < limits[1]):
            raise ValueError(f"{self.name}: limits are {tuple(limits)}; 0 must be between them.")
        self.bits = bits
        self.limits = None if limits is None else [float(limit) for limit in limits]
        self.momentum = momentum

    def build(self, input_shape: Shape) -> None:
        """Create the range, the number of batches observed, and whether the range is frozen."""
        low, high = self._grid_ends(*(self.limits or (-1.0, 1.0)))
        self.minimum = self._scalar("minimum", low)
        self.maximum = self._scalar("maximum", high)
        self.batches = self._scalar("batches", 0.0)
        self.frozen = self._scalar("frozen", float(self.limits is not None))

    def _scalar(self, name: str, value: float) -> keras.Variable:
        initial = keras.initializers.Constant(value)
        return self.add_weight(
            name=name, shape=(), initializer=initial, dtype="float32", trainable=False, autocast=False
        )

    def _grid_ends(self, low: Any, high: Any) -> tuple[Any, Any]:
        if self.bits == 8:
            return low, high
        high = ops.maximum(-low, high) if ops.is_tensor(low) else max(-low, high)
        return -high, high

    def call(self, inputs: keras.KerasTensor, training: bool | None = None, observe: bool = True) -> keras.KerasTensor:
        """Return the rounded tensor.

        Args:
            inputs: The tensor.
            training: Whether the range follows the inputs.
            observe: Whether it does so in this call; False where the same grid is used again, as for a mean of rounded
                values.
        """
        if training and observe:
            self._follow(ops.cast(inputs, "float32"))
        return fake_quant_with_min_max_vars(
            inputs, self.minimum.value, self.maximum.value, num_bits=self.bits, narrow_range=self.bits == 16
        )

    def _follow(self, values: keras.KerasTensor) -> None:
        low = ops.minimum(ops.min(values), 0.0)
        high = ops.maximum(ops.max(values), SMALLEST_RANGE)
        low, high = self._grid_ends(low, high)
        rate = ops.maximum(1 / (self.batches + 1), 1 - self.momentum) * (1 - self.frozen)
        self.minimum.assign(self.minimum + rate * (low - self.minimum))
        self.maximum.assign(self.maximum + rate * (high - self.maximum))
        self.batches.assign(self.batches + (1 - self.frozen))

    def freeze(self) -> None:
        """Keep the current range in all further training."""
        self.frozen.assign(1.0)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the input."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments; the current range is in the weights."""
        return super().get_config() | {"bits": self.bits, "limits": self.limits, "momentum": self.momentum}


def int8_grid(kernel: keras.KerasTensor, shared: Sequence[int]) -> keras.KerasTensor:
    """Return `kernel` rounded to int8 as TFLite stores weights: 127 steps from 0 to the largest magnitude on each side.

    0 stays 0. The gradient is passed straight through.

    Args:
        kernel: Tensor of any shape.
        shared: Axes along which the scale is the same.
    """
    greatest = ops.max(ops.abs(kernel), axis=tuple(shared), keepdims=True)
    step = ops.maximum(greatest, keras.config.epsilon()) / 127
    rounded = ops.stop_gradient(ops.round(kernel / step) * step)
    return rounded + (kernel - ops.stop_gradient(kernel))  # the difference is 0, and has the gradient
