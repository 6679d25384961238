"""Convolutions and dense layers whose kernels are int8 in their effect: float weights, rounded wherever they are used.

Each has the arguments and weights of Keras' layer of that name, and takes the kernel's place only while it is trained:
`as_stock` gives Keras' own layer with the rounded kernel.
"""

from typing import Any

import keras
from keras import ops

from .fake_quantization import int8_grid


class KernelOnGrid:
    """Goes before a Keras layer that has a `kernel`: what it computes with is the kernel rounded to int8."""

    STOCK: type[keras.layers.Layer]
    OUTPUTS: tuple[int, ...]
    """Axes of the kernel that count the output channels."""
    SHARED: tuple[int, ...]
    """Axes along which the step of the int8 numbers is the same."""

    def rounded(self, kernel: Any):
        """The kernel as int8 has it."""
        return int8_grid(kernel, self.SHARED)

    def with_bias_and_activation(self, outputs):
        """What Keras' layers do at their end; channels are last."""
        if self.bias is not None:
            outputs = ops.add(outputs, self.bias)
        return outputs if self.activation is None else self.activation(outputs)

    def as_stock(self) -> keras.layers.Layer:
        """Keras' layer of that kind, with the rounded kernel and a bias of its own."""
        stock = self.STOCK.from_config(self.get_config())
        stock.build_from_config(self.get_build_config())
        _, *bias = self.get_weights()
        stock.set_weights([ops.convert_to_numpy(self.rounded(ops.convert_to_tensor(self.kernel))), *bias])
        return stock


@keras.saving.register_keras_serializable("pocketzoo")
class QuantizedConv2D(KernelOnGrid, keras.layers.Conv2D):
    """`keras.layers.Conv2D` with an int8 kernel, one step a filter."""

    STOCK = keras.layers.Conv2D
    OUTPUTS = (3,)
    SHARED = (0, 1, 2)

    def convolution_op(self, inputs, kernel):
        """The convolution alone."""
        return super().convolution_op(inputs, self.rounded(kernel))


@keras.saving.register_keras_serializable("pocketzoo")
class QuantizedConv2DTranspose(KernelOnGrid, keras.layers.Conv2DTranspose):
    """`keras.layers.Conv2DTranspose` with an int8 kernel, one step a filter."""

    STOCK = keras.layers.Conv2DTranspose
    OUTPUTS = (2,)
    SHARED = (0, 1, 3)

    def call(self, inputs):
        """The enlarged map."""
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
    """`keras.layers.DepthwiseConv2D` with an int8 kernel, one step an output channel."""

    STOCK = keras.layers.DepthwiseConv2D
    OUTPUTS = (2, 3)
    SHARED = (0, 1)

    def call(self, inputs):
        """The map, each channel convolved by itself."""
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
    """`keras.layers.Dense` with an int8 kernel, one step for all of it."""

    STOCK = keras.layers.Dense
    OUTPUTS = (1,)
    SHARED = (0, 1)

    def call(self, inputs, training=None):
        """The product."""
        return self.with_bias_and_activation(ops.matmul(inputs, self.rounded(self.kernel)))
