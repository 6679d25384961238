"""The basic residual block. He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition (arXiv:1512.03385)."""

import keras

from .composite import CompositeLayer, build_chain, call_chain, chain_output_shape
from .conv import ConvNormAct


@keras.saving.register_keras_serializable("pocketzoo")
class ResidualBlock(CompositeLayer):
    """Two 3x3 convolutions added to a shortcut: `relu(conv(conv(x)) + shortcut(x))`, figure 2 of the paper.

    Args:
        filters: Output channels, of the second convolution and of the shortcut.
        mid_filters: Channels between the two convolutions.
        strides: Step of the first convolution and of the shortcut.
        shortcut: What the input goes through before it is added (section 3.3 and 4.1 of the paper):
            `"identity"` (nothing; the shape must not change), `"pad"` (option A: subsample, then zeros for the new
            channels; no parameters) or `"projection"` (option B: a 1x1 convolution with BatchNorm).
        pad_channels: For `"pad"`: how many zero channels go before and after the input's own.

    Input `(batch, height, width, channels)`, output `(batch, ceil(height/strides), ceil(width/strides), filters)`.
    """

    def __init__(
        self,
        filters: int,
        mid_filters: int,
        *,
        strides: int = 1,
        shortcut: str = "identity",
        pad_channels: tuple[int, int] = (0, 0),
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.mid_filters = mid_filters
        self.strides = strides
        self.shortcut = shortcut
        self.pad_channels = tuple(pad_channels)

        self.conv1 = self.sublayer(ConvNormAct, "conv1", mid_filters, 3, strides=strides)
        self.conv2 = self.sublayer(ConvNormAct, "conv2", filters, 3, activation=None)
        self.shortcut_layers = self._make_shortcut()
        self.add = self.sublayer(keras.layers.Add, "add")
        self.act = self.sublayer(keras.layers.Activation, "act", "relu")

    def _make_shortcut(self) -> list[keras.layers.Layer]:
        if self.shortcut == "identity":
            return []
        if self.shortcut == "projection":
            return [self.sublayer(ConvNormAct, "shortcut", self.filters, 1, strides=self.strides, activation=None)]
        if self.shortcut == "pad":
            # Told that its input is channels-first, ZeroPadding2D pads the last axis of ours: stock, and one PAD op.
            return [
                self.sublayer(keras.layers.MaxPooling2D, "shortcut_subsample", 1, strides=self.strides),
                self.sublayer(
                    keras.layers.ZeroPadding2D,
                    "shortcut_pad",
                    ((0, 0), self.pad_channels),
                    data_format="channels_first",
                ),
            ]
        raise ValueError(f"{self.name}: shortcut is {self.shortcut!r}; allowed are 'identity', 'pad' and 'projection'.")

    def build(self, input_shape):
        """Builds the parts; the two branches must meet in one shape."""
        residual = build_chain([self.conv1, self.conv2], input_shape)
        shortcut = build_chain(self.shortcut_layers, input_shape)
        if residual != shortcut:
            raise ValueError(
                f"{self.name}: the residual branch gives {residual} but the {self.shortcut!r} shortcut {shortcut}; "
                "use 'projection', or 'pad' with pad_channels that make up the difference."
            )
        build_chain([self.act], residual)
        self.add.build([residual, shortcut])

    def call(self, inputs, training=None):
        """Adds the two branches and applies the ReLU."""
        residual = call_chain([self.conv1, self.conv2], inputs, training)
        return self.act(self.add([residual, call_chain(self.shortcut_layers, inputs, training)]))

    def compute_output_shape(self, input_shape):
        """`(batch, height', width', filters)`."""
        return chain_output_shape([self.conv1, self.conv2], input_shape)
