"""Attention over channels and over places."""

from typing import Any

import keras

from .composite import ChainLayer, CompositeLayer, build_chain, call_chain
from .conv import ConvNormAct
from .norm_and_activation import Norm, act_layer


@keras.saving.register_keras_serializable("pocketzoo")
class SqueezeExcite(CompositeLayer):
    """Weighs the channels by what the whole map shows: `x * gate(conv(act(conv(mean(x)))))`.

    Hu, Shen, Albanie, Sun, Wu: Squeeze-and-Excitation Networks (arXiv:1709.01507).

    Args:
        filters: Channels of the input and the output.
        squeeze_filters: Channels between the two 1x1 convolutions.
        activation: After the first convolution.
        gate: After the second; `"sigmoid"`, or `"hard_sigmoid"` (MobileNetV3).

    Input and output `(batch, height, width, filters)`.
    """

    def __init__(
        self, filters: int, squeeze_filters: int, *, activation: str = "relu", gate: str = "sigmoid", **kwargs
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.squeeze_filters = squeeze_filters
        self.activation = activation
        self.gate = gate
        self.squeeze = self.sublayer(keras.layers.GlobalAveragePooling2D, "squeeze", keepdims=True)
        self.reduce = self.sublayer(ConvNormAct, "reduce", squeeze_filters, 1, norm=None, activation=activation)
        self.expand = self.sublayer(
            ConvNormAct, "expand", filters, 1, norm=None, activation=gate, kernel_initializer="glorot_uniform"
        )
        self.excite = self.sublayer(keras.layers.Multiply, "excite")

    def width_parts(self) -> dict[str, Any]:
        """The two 1x1 convolutions."""
        return {"filters": self.expand, "squeeze_filters": self.reduce}

    def build(self, input_shape):
        """Builds the parts."""
        weights = build_chain([self.squeeze, self.reduce, self.expand], input_shape)
        self.excite.build([input_shape, weights])

    def call(self, inputs, training=None):
        """The weighted map."""
        return self.excite([inputs, call_chain([self.squeeze, self.reduce, self.expand], inputs, training)])

    def compute_output_shape(self, input_shape):
        """The input's shape."""
        return tuple(input_shape)


@keras.saving.register_keras_serializable("pocketzoo")
class ChannelAttention(CompositeLayer):
    """CBAM's weights for the channels: one small net for their means and for their maxima, equation 2 of the paper.

    Args:
        filters: Channels of the input and the output.
        squeeze_filters: Channels between the two 1x1 convolutions.

    Input and output `(batch, height, width, filters)`.
    """

    def __init__(self, filters: int, squeeze_filters: int, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.squeeze_filters = squeeze_filters
        self.mean = self.sublayer(keras.layers.GlobalAveragePooling2D, "mean", keepdims=True)
        self.maximum = self.sublayer(keras.layers.GlobalMaxPooling2D, "maximum", keepdims=True)
        self.reduce = self.sublayer(ConvNormAct, "reduce", squeeze_filters, 1, norm=None)
        self.expand = self.sublayer(ConvNormAct, "expand", filters, 1, norm=None, activation=None)
        self.add = self.sublayer(keras.layers.Add, "add")
        self.gate = act_layer(self, "gate", "sigmoid")
        self.excite = self.sublayer(keras.layers.Multiply, "excite")

    def width_parts(self) -> dict[str, Any]:
        """The two 1x1 convolutions."""
        return {"filters": self.expand, "squeeze_filters": self.reduce}

    def build(self, input_shape):
        """Builds the parts."""
        weights = build_chain([self.mean, self.reduce, self.expand], input_shape)
        build_chain([self.maximum], input_shape)
        self.add.build([weights, weights])
        self.gate.build(weights)
        self.excite.build([input_shape, weights])

    def call(self, inputs, training=None):
        """The weighted map."""
        scores = [call_chain([pool, self.reduce, self.expand], inputs, training) for pool in (self.mean, self.maximum)]
        return self.excite([inputs, self.gate(self.add(scores))])

    def compute_output_shape(self, input_shape):
        """The input's shape."""
        return tuple(input_shape)


@keras.saving.register_keras_serializable("pocketzoo")
class SpatialAttention(CompositeLayer):
    """CBAM's weights for the places: a convolution over the mean and the maximum of the channels, equation 3.

    Args:
        kernel_size: Side of the convolution's kernel.
        norm: After the convolution, as in `ConvNormAct`.

    Input and output `(batch, height, width, channels)`.
    """

    def __init__(self, kernel_size: int = 7, *, norm: Norm = "batch", **kwargs):
        super().__init__(**kwargs)
        self.kernel_size = kernel_size
        self.norm = norm
        self.join = self.sublayer(keras.layers.Concatenate, "join")
        self.conv = self.sublayer(
            ConvNormAct, "conv", 1, kernel_size, norm=norm, activation="sigmoid", kernel_initializer="glorot_uniform"
        )
        self.excite = self.sublayer(keras.layers.Multiply, "excite")

    def build(self, input_shape):
        """Builds the parts."""
        one = (*input_shape[:-1], 1)
        self.join.build([one, one])
        self.excite.build([input_shape, build_chain([self.conv], (*input_shape[:-1], 2))])

    def call(self, inputs, training=None):
        """The weighted map."""
        pooled = [keras.ops.mean(inputs, axis=-1, keepdims=True), keras.ops.max(inputs, axis=-1, keepdims=True)]
        return self.excite([inputs, self.conv(self.join(pooled), training=training)])

    def compute_output_shape(self, input_shape):
        """The input's shape."""
        return tuple(input_shape)


@keras.saving.register_keras_serializable("pocketzoo")
class CBAM(ChainLayer):
    """Channel attention, then spatial attention.

    Woo, Park, Lee, Kweon: CBAM: Convolutional Block Attention Module (arXiv:1807.06521). The authors' code has a
    BatchNorm in the spatial part; so has this.

    Args:
        filters: Channels of the input and the output.
        squeeze_filters: Channels within the channel attention.
        kernel_size: Side of the spatial attention's kernel.
        norm: In the spatial attention, as in `ConvNormAct`.

    Input and output `(batch, height, width, filters)`.
    """

    def __init__(self, filters: int, squeeze_filters: int, *, kernel_size: int = 7, norm: Norm = "batch", **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.squeeze_filters = squeeze_filters
        self.kernel_size = kernel_size
        self.norm = norm
        self.channels = self.sublayer(ChannelAttention, "channels", filters, squeeze_filters)
        self.places = self.sublayer(SpatialAttention, "places", kernel_size, norm=norm)

    def chain(self) -> list[keras.layers.Layer]:
        """Channels first, then places."""
        return [self.channels, self.places]

    def width_parts(self) -> dict[str, Any]:
        """Those of the channel attention."""
        return self.channels.width_parts()
