"""Channel attention and spatial attention."""

from typing import Any

import keras

from .composite import ChainLayer, CompositeLayer, Shape, build_chain, call_chain
from .conv import ConvNormAct
from .norm_and_activation import Norm, activation_layer


@keras.saving.register_keras_serializable("pocketzoo")
class SqueezeExcite(CompositeLayer):
    """Channel attention from the globally pooled feature map: `x * gate(conv(act(conv(mean(x)))))`.

    Hu, Shen, Albanie, Sun, Wu: Squeeze-and-Excitation Networks (arXiv:1709.01507).

    Args:
        filters: Channels of the input and the output.
        squeeze_filters: Channels between the two 1x1 convolutions.
        activation: Activation after the first convolution.
        gate: Activation after the second; `"sigmoid"`, or `"hard_sigmoid"` (MobileNetV3).

    Input and output `(batch, height, width, filters)`.
    """

    def __init__(
        self, filters: int, squeeze_filters: int, *, activation: str = "relu", gate: str = "sigmoid", **kwargs: Any
    ) -> None:
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
        """Return the two 1x1 convolutions."""
        return {"filters": self.expand, "squeeze_filters": self.reduce}

    def build(self, input_shape: Shape) -> None:
        """Build the sublayers."""
        weights = build_chain([self.squeeze, self.reduce, self.expand], input_shape)
        self.excite.build([input_shape, weights])

    def call(self, inputs: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:
        """Return the weighted feature map."""
        return self.excite([inputs, call_chain([self.squeeze, self.reduce, self.expand], inputs, training)])

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape."""
        return tuple(input_shape)


@keras.saving.register_keras_serializable("pocketzoo")
class ChannelAttention(CompositeLayer):
    """CBAM's channel attention: one shared MLP on average-pooled and max-pooled features, equation 2 of the paper.

    Args:
        filters: Channels of the input and the output.
        squeeze_filters: Channels between the two 1x1 convolutions.

    Input and output `(batch, height, width, filters)`.
    """

    def __init__(self, filters: int, squeeze_filters: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.squeeze_filters = squeeze_filters
        self.mean = self.sublayer(keras.layers.GlobalAveragePooling2D, "mean", keepdims=True)
        self.maximum = self.sublayer(keras.layers.GlobalMaxPooling2D, "maximum", keepdims=True)
        self.reduce = self.sublayer(ConvNormAct, "reduce", squeeze_filters, 1, norm=None)
        self.expand = self.sublayer(ConvNormAct, "expand", filters, 1, norm=None, activation=None)
        self.add = self.sublayer(keras.layers.Add, "add")
        self.gate = activation_layer(self, "gate", "sigmoid")
        self.excite = self.sublayer(keras.layers.Multiply, "excite")

    def width_parts(self) -> dict[str, Any]:
        """Return the two 1x1 convolutions."""
        return {"filters": self.expand, "squeeze_filters": self.reduce}

    def build(self, input_shape: Shape) -> None:
        """Build the sublayers."""
        weights = build_chain([self.mean, self.reduce, self.expand], input_shape)
        build_chain([self.maximum], input_shape)
        self.add.build([weights, weights])
        self.gate.build(weights)
        self.excite.build([input_shape, weights])

    def call(self, inputs: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:
        """Return the weighted feature map."""
        scores = [call_chain([pool, self.reduce, self.expand], inputs, training) for pool in (self.mean, self.maximum)]
        return self.excite([inputs, self.gate(self.add(scores))])

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape."""
        return tuple(input_shape)


@keras.saving.register_keras_serializable("pocketzoo")
class SpatialAttention(CompositeLayer):
    """CBAM's spatial attention: a convolution on the mean and the maximum over channels, equation 3 of the paper.

    Args:
        kernel_size: Kernel size of the convolution.
        norm: Normalization after the convolution, as in `ConvNormAct`.

    Input and output `(batch, height, width, channels)`.
    """

    def __init__(self, kernel_size: int = 7, *, norm: Norm = "batch", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kernel_size = kernel_size
        self.norm = norm
        self.join = self.sublayer(keras.layers.Concatenate, "join")
        self.conv = self.sublayer(
            ConvNormAct, "conv", 1, kernel_size, norm=norm, activation="sigmoid", kernel_initializer="glorot_uniform"
        )
        self.excite = self.sublayer(keras.layers.Multiply, "excite")

    def build(self, input_shape: Shape) -> None:
        """Build the sublayers."""
        one = (*input_shape[:-1], 1)
        self.join.build([one, one])
        self.excite.build([input_shape, build_chain([self.conv], (*input_shape[:-1], 2))])

    def call(self, inputs: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:
        """Return the weighted feature map."""
        pooled = [keras.ops.mean(inputs, axis=-1, keepdims=True), keras.ops.max(inputs, axis=-1, keepdims=True)]
        return self.excite([inputs, self.conv(self.join(pooled), training=training)])

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape."""
        return tuple(input_shape)


@keras.saving.register_keras_serializable("pocketzoo")
class CBAM(ChainLayer):
    """Channel attention, then spatial attention.

    Woo, Park, Lee, Kweon: CBAM: Convolutional Block Attention Module (arXiv:1807.06521). The spatial part has a
    BatchNorm, as in the authors' code.

    Args:
        filters: Channels of the input and the output.
        squeeze_filters: Channels of the hidden layer in the channel attention.
        kernel_size: Kernel size of the spatial attention.
        norm: Normalization in the spatial attention, as in `ConvNormAct`.

    Input and output `(batch, height, width, filters)`.
    """

    def __init__(
        self, filters: int, squeeze_filters: int, *, kernel_size: int = 7, norm: Norm = "batch", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.squeeze_filters = squeeze_filters
        self.kernel_size = kernel_size
        self.norm = norm
        self.channels = self.sublayer(ChannelAttention, "channels", filters, squeeze_filters)
        self.places = self.sublayer(SpatialAttention, "places", kernel_size, norm=norm)

    def chain(self) -> list[keras.Layer]:
        """Return the channel attention, then the spatial attention."""
        return [self.channels, self.places]

    def width_parts(self) -> dict[str, Any]:
        """Return those of the channel attention."""
        return self.channels.width_parts()
