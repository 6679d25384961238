"""Convolutions and dense layers with fake-quantized int8 kernels: float weights, rounded wherever they are used.

Each has the arguments and weights of the Keras layer it is named after, and replaces it only during training:
`as_stock` returns the Keras layer with the rounded kernel.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from ..core.layer_traits import LAYERS
from .fake_quantization import int8_grid

if TYPE_CHECKING:
    _LayerMethods = keras.Layer
else:
    _LayerMethods = object


class KernelOnGrid(_LayerMethods):
    """Mixin before a Keras layer that has a `kernel`: the layer computes with the kernel rounded to int8."""

    STOCK: type[keras.layers.Layer]
    kernel: keras.Variable
    bias: keras.Variable | None
    activation: Callable[[Any], Any] | None
    folded_scale: float = 1.0
    """Size of the kernel as a multiple of what it was before a normalization was folded in; it is not saved."""

    @property
    def output_axes(self) -> tuple[int, ...]:
        """Axes of the kernel that run over output channels."""
        return tuple(axis % len(self.kernel.shape) for axis in LAYERS[self.STOCK].main_kernel.output_axes)

    @property
    def shared_axes(self) -> tuple[int, ...]:
        """Axes of the kernel along which the int8 scale is the same."""
        scaled = self.output_axes if LAYERS[self.STOCK].int8_scales == "per_channel" else ()
        return tuple(axis for axis in range(len(self.kernel.shape)) if axis not in scaled)

    def rounded(self, kernel: Any) -> keras.KerasTensor:
        """Return the kernel rounded to int8."""
        return int8_grid(kernel, self.shared_axes)

    def with_bias_and_activation(self, outputs: keras.KerasTensor) -> keras.KerasTensor:
        """Return `outputs` (channels last) with the layer's bias and activation, as Keras layers apply them."""
        if self.bias is not None:
            outputs = ops.add(outputs, self.bias)
        return outputs if self.activation is None else self.activation(outputs)

    def as_stock(self) -> keras.layers.Layer:
        """Return the Keras layer with the rounded kernel and its own copy of the bias."""
        stock = self.STOCK.from_config(self.get_config())
        stock.build_from_config(self.get_build_config())
        _, *bias = self.get_weights()
        stock.set_weights([ops.convert_to_numpy(self.rounded(ops.convert_to_tensor(self.kernel))), *bias])
        return stock


@keras.saving.register_keras_serializable("pocketzoo")
class QuantizedConv2D(KernelOnGrid, keras.layers.Conv2D):
    """`keras.layers.Conv2D` with an int8 kernel, one scale per filter."""

    STOCK = keras.layers.Conv2D

    def convolution_op(self, inputs: keras.KerasTensor, kernel: Any) -> keras.KerasTensor:
        """Return the convolution without bias and activation."""
        return super().convolution_op(inputs, self.rounded(kernel))


@keras.saving.register_keras_serializable("pocketzoo")
class QuantizedConv2DTranspose(KernelOnGrid, keras.layers.Conv2DTranspose):
    """`keras.layers.Conv2DTranspose` with an int8 kernel, one scale per filter."""

    STOCK = keras.layers.Conv2DTranspose

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Return the upsampled map."""
        outputs = ops.conv_transpose(
            inputs,
            self.rounded(self.kernel),
            strides=list(self.strides),
            padding=self.padding,
            output_padding=self.output_padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )
        return self.with_bias_and_activation(outputs)


@keras.saving.register_keras_serializable("pocketzoo")
class QuantizedDepthwiseConv2D(KernelOnGrid, keras.layers.DepthwiseConv2D):
    """`keras.layers.DepthwiseConv2D` with an int8 kernel, one scale per output channel."""

    STOCK = keras.layers.DepthwiseConv2D

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Return the map, each channel convolved by itself."""
        outputs = ops.depthwise_conv(
            inputs,
            self.rounded(self.kernel),
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )
        return self.with_bias_and_activation(outputs)


@keras.saving.register_keras_serializable("pocketzoo")
class QuantizedDense(KernelOnGrid, keras.layers.Dense):
    """`keras.layers.Dense` with an int8 kernel, one scale for all of it."""

    STOCK = keras.layers.Dense

    def call(self, inputs: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:
        """Return the matrix product with bias and activation."""
        return self.with_bias_and_activation(ops.matmul(inputs, self.rounded(self.kernel)))
