"""Residual blocks, basic and with a bottleneck, in every published order.

He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition (arXiv:1512.03385) and, for the pre-activation,
Identity Mappings in Deep Residual Networks (arXiv:1603.05027).
"""

from typing import Any

import keras

from .attention import CBAM, SqueezeExcite
from .composite import CompositeLayer, build_chain, call_chain, chain_output_shape
from .conv import ConvNormAct, NormAct
from .norm_and_activation import Norm, act_layer


class ResidualLayer(CompositeLayer):
    """What residual blocks share: `act(residual(x) + shortcut(x))`.

    With `pre_activation` it is `residual(p) + shortcut`, where `p = act(norm(x))` and a projection starts at `p`, every
    other shortcut at `x`.

    A subclass sets its arguments as attributes, makes the convolutions of its residual branch, and calls `make_block`.
    """

    def make_block(self, convolutions: list[keras.layers.Layer]) -> None:
        """Makes the other parts: pre-activation, attention, stochastic depth, shortcut, addition, activation."""
        unit = {"norm": self.norm, "activation": self.activation}
        self.pre_layers = [self.sublayer(NormAct, "pre", **unit)] if self.pre_activation else []
        self.residual_layers = [*convolutions, *self._attention()]
        if self.stochastic_depth:  # Huang et al. arXiv:1603.09382: the whole branch is dropped, image by image
            shape = (None, 1, 1, 1)
            rate = self.stochastic_depth
            self.residual_layers.append(self.sublayer(keras.layers.Dropout, "drop", rate, noise_shape=shape))
        self.shortcut_layers = self._shortcut()
        self.add = self.sublayer(keras.layers.Add, "add")
        self.act = None if self.pre_activation else act_layer(self, "act", self.activation)

    def last_conv(self) -> dict[str, Any]:
        """Arguments of the branch's last convolution: no activation, and before an addition no norm of the next."""
        return {"norm": None if self.pre_activation else self.norm, "activation": None}

    def width_parts(self) -> dict[str, Any]:
        """What the attention and the shortcut have; a subclass adds its convolutions."""
        parts: dict[str, Any] = {}
        for part in [*self.residual_layers, *self.shortcut_layers]:
            if isinstance(part, SqueezeExcite | CBAM):
                parts["squeeze_filters"] = part.width_parts()["squeeze_filters"]
            elif isinstance(part, keras.layers.ZeroPadding2D):
                parts["pad_channels"] = part
        return parts

    def _attention(self) -> list[keras.layers.Layer]:
        if self.attention is None:
            return []
        if self.attention not in ("se", "cbam"):
            raise ValueError(f"{self.name}: attention is {self.attention!r}; allowed are None, 'se' and 'cbam'.")
        if self.squeeze_filters is None:
            raise ValueError(f"{self.name}: attention is {self.attention!r}, which takes squeeze_filters, 1 or more.")
        if self.attention == "se":
            return [self.sublayer(SqueezeExcite, "se", self.filters, self.squeeze_filters)]
        return [self.sublayer(CBAM, "cbam", self.filters, self.squeeze_filters, norm=self.norm)]

    def _shortcut(self) -> list[keras.layers.Layer]:
        if self.shortcut == "identity":
            return []
        if self.shortcut == "projection":
            arguments = {"strides": self.strides, **self.last_conv()}
            return [self.sublayer(ConvNormAct, "shortcut", self.filters, 1, **arguments)]
        subsample = self.sublayer(keras.layers.MaxPooling2D, "shortcut_subsample", 1, strides=self.strides)
        if self.shortcut == "subsample":
            return [subsample]
        if self.shortcut == "pad":
            # Told that its input is channels-first, ZeroPadding2D pads the last axis of ours: stock, and one PAD op.
            padding = ((0, 0), self.pad_channels)
            options = {"data_format": "channels_first"}
            return [subsample, self.sublayer(keras.layers.ZeroPadding2D, "shortcut_pad", padding, **options)]
        raise ValueError(
            f"{self.name}: shortcut is {self.shortcut!r}; allowed are 'identity', 'projection', 'subsample' and 'pad'."
        )

    def build(self, input_shape):
        """Builds the parts; the two branches must meet in one shape."""
        residual = build_chain([*self.pre_layers, *self.residual_layers], input_shape)
        shortcut = build_chain(self.shortcut_layers, input_shape)
        if residual != shortcut:
            raise ValueError(
                f"{self.name}: the residual branch gives {residual} but the {self.shortcut!r} shortcut {shortcut}; "
                "use 'projection', or 'pad' with pad_channels that make up the difference."
            )
        if self.act is not None:
            build_chain([self.act], residual)
        self.add.build([residual, shortcut])

    def call(self, inputs, training=None):
        """Adds the two branches."""
        start = call_chain(self.pre_layers, inputs, training)
        residual = call_chain(self.residual_layers, start, training)
        shortcut = call_chain(self.shortcut_layers, start if self.shortcut == "projection" else inputs, training)
        total = self.add([residual, shortcut])
        return total if self.act is None else self.act(total)

    def compute_output_shape(self, input_shape):
        """`(batch, height', width', filters)`."""
        return chain_output_shape(self.residual_layers, input_shape)


@keras.saving.register_keras_serializable("pocketzoo")
class ResidualBlock(ResidualLayer):
    """The basic block, two 3x3 convolutions: figure 2 of the paper.

    Args:
        filters: Output channels, of the second convolution and of the shortcut.
        mid_filters: Channels between the two convolutions.
        strides: Step of the first convolution and of the shortcut.
        dilation_rate: Step between the taps of the 3x3 kernels.
        padding: Of the 3x3 convolutions, `"same"` or a number of zeros.
        shortcut: What the input goes through before it is added (section 3.3 and 4.1 of the paper): `"identity"`
            (nothing; the shape must not change), `"subsample"` (every `strides`-th place), `"pad"` (option A:
            subsample, then zeros for the new channels; no parameters) or `"projection"` (option B: a 1x1 convolution).
        pad_channels: For `"pad"`: how many zero channels go before and after the input's own.
        pre_activation: Normalise and activate before each convolution, not after it.
        attention: None, `"se"` or `"cbam"`, at the end of the branch.
        squeeze_filters: Width within the attention.
        stochastic_depth: Probability that training leaves the branch out.
        norm: As in `ConvNormAct`.
        activation: As in `ConvNormAct`.

    Input `(batch, height, width, channels)`, output `(batch, ceil(height/strides), ceil(width/strides), filters)`.
    """

    def __init__(
        self,
        filters: int,
        mid_filters: int,
        *,
        strides: int = 1,
        dilation_rate: int = 1,
        padding: str | int = "same",
        shortcut: str = "identity",
        pad_channels: tuple[int, int] = (0, 0),
        pre_activation: bool = False,
        attention: str | None = None,
        squeeze_filters: int | None = None,
        stochastic_depth: float = 0.0,
        norm: Norm = "batch",
        activation: str = "relu",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.mid_filters = mid_filters
        self.strides = strides
        self.dilation_rate = dilation_rate
        self.padding = padding
        self.shortcut = shortcut
        self.pad_channels = tuple(pad_channels)
        self.pre_activation = pre_activation
        self.attention = attention
        self.squeeze_filters = squeeze_filters
        self.stochastic_depth = stochastic_depth
        self.norm = norm
        self.activation = activation

        unit = {"padding": padding, "dilation_rate": dilation_rate, "norm": norm, "activation": activation}
        self.conv1 = self.sublayer(ConvNormAct, "conv1", mid_filters, 3, **unit | {"strides": strides})
        self.conv2 = self.sublayer(ConvNormAct, "conv2", filters, 3, **unit | self.last_conv())
        self.make_block([self.conv1, self.conv2])

    def width_parts(self) -> dict[str, Any]:
        """The two convolutions, and what the attention and the shortcut have."""
        return {"filters": self.conv2, "mid_filters": self.conv1, **super().width_parts()}


@keras.saving.register_keras_serializable("pocketzoo")
class Bottleneck(ResidualLayer):
    """A 1x1 convolution to few channels, a 3x3 one between those, and a 1x1 one back: figure 5 of the paper.

    With `groups` it is ResNeXt's block (Xie et al. arXiv:1611.05431), with a wide `mid_filters` that of a wide ResNet
    (Zagoruyko, Komodakis arXiv:1605.07146), with `attention="se"` that of an SE-ResNet.

    Args:
        filters: Output channels, of the last convolution and of the shortcut.
        mid_filters: Channels of the 3x3 convolution.
        strides: Step of the block.
        stride_at: Which convolution takes the step: 1 (the first 1x1, as in the paper) or 2 (the 3x3, "v1.5").
        groups: Parts into which the 3x3 convolution's channels are divided.
        reduced_filters: Channels of the first 1x1 convolution; None for `mid_filters`.

    The other arguments are those of `ResidualBlock`. Input `(batch, height, width, channels)`, output
    `(batch, ceil(height/strides), ceil(width/strides), filters)`.
    """

    def __init__(
        self,
        filters: int,
        mid_filters: int,
        *,
        strides: int = 1,
        stride_at: int = 2,
        groups: int = 1,
        reduced_filters: int | None = None,
        dilation_rate: int = 1,
        padding: str | int = "same",
        shortcut: str = "identity",
        pad_channels: tuple[int, int] = (0, 0),
        pre_activation: bool = False,
        attention: str | None = None,
        squeeze_filters: int | None = None,
        stochastic_depth: float = 0.0,
        norm: Norm = "batch",
        activation: str = "relu",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if stride_at not in (1, 2):
            raise ValueError(f"{self.name}: stride_at is {stride_at!r}; allowed are 1 and 2.")
        self.filters = filters
        self.mid_filters = mid_filters
        self.strides = strides
        self.stride_at = stride_at
        self.groups = groups
        self.reduced_filters = reduced_filters
        self.dilation_rate = dilation_rate
        self.padding = padding
        self.shortcut = shortcut
        self.pad_channels = tuple(pad_channels)
        self.pre_activation = pre_activation
        self.attention = attention
        self.squeeze_filters = squeeze_filters
        self.stochastic_depth = stochastic_depth
        self.norm = norm
        self.activation = activation

        unit = {"norm": norm, "activation": activation}
        first, second = (strides, 1) if stride_at == 1 else (1, strides)
        middle = {"strides": second, "groups": groups, "padding": padding, "dilation_rate": dilation_rate}
        reduced = mid_filters if reduced_filters is None else reduced_filters
        self.conv1 = self.sublayer(ConvNormAct, "conv1", reduced, 1, strides=first, **unit)
        self.conv2 = self.sublayer(ConvNormAct, "conv2", mid_filters, 3, **middle, **unit)
        self.conv3 = self.sublayer(ConvNormAct, "conv3", filters, 1, **self.last_conv())
        self.make_block([self.conv1, self.conv2, self.conv3])

    def width_parts(self) -> dict[str, Any]:
        """The three convolutions, and what the attention and the shortcut have."""
        convolutions = {"filters": self.conv3, "mid_filters": self.conv2, "reduced_filters": self.conv1}
        return convolutions | super().width_parts()
