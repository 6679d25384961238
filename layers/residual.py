"""Residual blocks: basic and bottleneck, with post-activation or pre-activation.

He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition (arXiv:1512.03385) and, for pre-activation,
Identity Mappings in Deep Residual Networks (arXiv:1603.05027).
"""

from typing import Any

import keras

from .attention import CBAM, SqueezeExcite
from .composite import CompositeLayer, Shape, build_chain, call_chain, chain_output_shape
from .conv import ConvNormAct, NormAct
from .dimensions import of_sides
from .norm_and_activation import Norm, activation_layer


class ResidualLayer(CompositeLayer):
    """Base of residual blocks: `act(residual(x) + shortcut(x))`.

    With `pre_activation` it is `residual(p) + shortcut`, where `p = act(norm(x))`; a projection shortcut takes `p`,
    every other one `x`.

    A subclass sets its arguments as attributes, creates the convolutions of its residual branch, and calls
    `make_block`.
    """

    filters: int
    strides: int
    shortcut: str
    pad_channels: tuple[int, ...]
    pre_activation: bool
    attention: str | None
    squeeze_filters: int | None
    stochastic_depth: float
    norm: Norm
    activation: str

    def make_block(self, convolutions: list[keras.Layer]) -> None:
        """Create the other sublayers: pre-activation, attention, stochastic depth, shortcut, addition, activation."""
        unit: dict[str, Any] = {"norm": self.norm, "activation": self.activation}
        self.pre_layers = [self.sublayer(NormAct, "pre", **unit)] if self.pre_activation else []
        self.residual_layers = [*convolutions, *self._attention()]
        if self.stochastic_depth:  # Huang et al. arXiv:1603.09382: the whole branch is dropped, separately per image
            shape = (None, *(1,) * (self.dimensions + 1))
            rate = self.stochastic_depth
            self.residual_layers.append(self.sublayer(keras.layers.Dropout, "drop", rate, noise_shape=shape))
        self.shortcut_layers = self._shortcut()
        self.add = self.sublayer(keras.layers.Add, "add")
        self.act = None if self.pre_activation else activation_layer(self, "act", self.activation)

    def last_conv(self) -> dict[str, Any]:
        """Return arguments of the last convolution: no activation, and with pre-activation no normalization."""
        return {"norm": None if self.pre_activation else self.norm, "activation": None}

    def width_parts(self) -> dict[str, Any]:
        """Return the parts of the attention and the shortcut; a subclass adds its convolutions."""
        parts: dict[str, Any] = {}
        for part in [*self.residual_layers, *self.shortcut_layers]:
            if isinstance(part, SqueezeExcite | CBAM):
                parts["squeeze_filters"] = part.width_parts()["squeeze_filters"]
            elif part.name == f"{self.name}_shortcut_pad":
                parts["pad_channels"] = part
        return parts

    def _attention(self) -> list[keras.Layer]:
        if self.attention is None:
            return []
        if self.attention not in ("se", "cbam"):
            raise ValueError(f"{self.name}: attention is {self.attention!r}; allowed are None, 'se' and 'cbam'.")
        if self.squeeze_filters is None:
            raise ValueError(f"{self.name}: attention is {self.attention!r}, which needs squeeze_filters, 1 or more.")
        if self.attention == "se":
            return [self.sublayer(SqueezeExcite, "se", self.filters, self.squeeze_filters)]
        return [self.sublayer(CBAM, "cbam", self.filters, self.squeeze_filters, norm=self.norm)]

    def _shortcut(self) -> list[keras.Layer]:
        if self.shortcut == "identity":
            return []
        if self.shortcut == "projection":
            arguments: dict[str, Any] = {"strides": self.strides, **self.last_conv()}
            return [self.sublayer(ConvNormAct, "shortcut", self.filters, 1, **arguments)]
        subsample = self.sublayer(keras.layers.MaxPooling2D, "shortcut_subsample", 1, strides=self.strides)
        if self.shortcut == "subsample":
            return [subsample]
        if self.shortcut == "pad":
            # With data_format="channels_first", ZeroPadding2D pads the last axis, our channels: one PAD operation.
            padding = of_sides(((0, 0),) * (self.dimensions - 1) + (self.pad_channels,))
            options: dict[str, Any] = {"data_format": "channels_first"}
            return [subsample, self.sublayer(keras.layers.ZeroPadding2D, "shortcut_pad", padding, **options)]
        raise ValueError(
            f"{self.name}: shortcut is {self.shortcut!r}; allowed are 'identity', 'projection', 'subsample' and 'pad'."
        )

    def build(self, input_shape: Shape) -> None:
        """Build the sublayers.

        Raises:
            ValueError: The residual and the shortcut have different shapes.
        """
        residual = build_chain([*self.pre_layers, *self.residual_layers], input_shape)
        shortcut = build_chain(self.shortcut_layers, input_shape)
        if residual != shortcut:
            raise ValueError(
                f"{self.name}: the residual branch outputs {residual} but the {self.shortcut!r} shortcut {shortcut}; "
                "use 'projection', or 'pad' with pad_channels that add up to the difference."
            )
        if self.act is not None:
            build_chain([self.act], residual)
        self.add.build([residual, shortcut])

    def call(self, inputs: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:
        """Return the sum of the residual and the shortcut."""
        start = call_chain(self.pre_layers, inputs, training)
        residual = call_chain(self.residual_layers, start, training)
        shortcut = call_chain(self.shortcut_layers, start if self.shortcut == "projection" else inputs, training)
        total = self.add([residual, shortcut])
        return total if self.act is None else self.act(total)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return `(batch, height', width', filters)`."""
        return chain_output_shape(self.residual_layers, input_shape)


@keras.saving.register_keras_serializable("pocketzoo")
class ResidualBlock(ResidualLayer):
    """Basic residual block, two 3x3 convolutions: figure 2 of the paper.

    Args:
        filters: Output channels, of the second convolution and of the shortcut.
        mid_filters: Channels between the two convolutions.
        strides: Stride of the first convolution and of the shortcut.
        dilation_rate: Dilation rate of the 3x3 convolutions.
        first_dilation_rate: Dilation rate of the first of them, if it differs: in a network whose strides are replaced
            by dilation, what follows the convolution with the stride is dilated, not that convolution itself.
        padding: Padding of the 3x3 convolutions, `"same"`, `"symmetric"` or a number of zeros.
        shortcut: Type of the shortcut (sections 3.3 and 4.1 of the paper): `"identity"` (the shape must not change),
            `"subsample"` (every `strides`-th pixel), `"pad"` (option A: subsampling, then zeros for the new channels;
            no parameters) or `"projection"` (option B: a 1x1 convolution).
        pad_channels: For `"pad"`: numbers of zero channels before and after those of the input.
        pre_activation: Whether normalization and activation precede each convolution instead of following it.
        attention: None, `"se"` or `"cbam"`, at the end of the residual branch.
        squeeze_filters: Hidden channels of the attention.
        stochastic_depth: Probability that a training step drops the residual branch.
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
        first_dilation_rate: int | None = None,
        padding: str | int = "same",
        shortcut: str = "identity",
        pad_channels: tuple[int, int] = (0, 0),
        pre_activation: bool = False,
        attention: str | None = None,
        squeeze_filters: int | None = None,
        stochastic_depth: float = 0.0,
        norm: Norm = "batch",
        activation: str = "relu",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.mid_filters = mid_filters
        self.strides = strides
        self.dilation_rate = dilation_rate
        self.first_dilation_rate = first_dilation_rate
        self.padding = padding
        self.shortcut = shortcut
        self.pad_channels = tuple(pad_channels)
        self.pre_activation = pre_activation
        self.attention = attention
        self.squeeze_filters = squeeze_filters
        self.stochastic_depth = stochastic_depth
        self.norm = norm
        self.activation = activation

        unit: dict[str, Any] = {
            "padding": padding,
            "dilation_rate": dilation_rate,
            "norm": norm,
            "activation": activation,
        }
        first = {"strides": strides, "dilation_rate": first_dilation_rate or dilation_rate}
        self.conv1 = self.sublayer(ConvNormAct, "conv1", mid_filters, 3, **unit | first)
        self.conv2 = self.sublayer(ConvNormAct, "conv2", filters, 3, **unit | self.last_conv())
        self.make_block([self.conv1, self.conv2])

    def width_parts(self) -> dict[str, Any]:
        """Return the two convolutions, and the parts of the attention and the shortcut."""
        return {"filters": self.conv2, "mid_filters": self.conv1, **super().width_parts()}


@keras.saving.register_keras_serializable("pocketzoo")
class Bottleneck(ResidualLayer):
    """Bottleneck residual block: 1x1 reduction, 3x3 convolution, 1x1 expansion (figure 5 of the paper).

    With `groups` it is the block of ResNeXt (Xie et al. arXiv:1611.05431), with a larger `mid_filters` that of Wide
    ResNet (Zagoruyko, Komodakis arXiv:1605.07146), with `attention="se"` that of SE-ResNet.

    Args:
        filters: Output channels, of the last convolution and of the shortcut.
        mid_filters: Channels of the 3x3 convolution.
        strides: Stride of the block.
        stride_at: The convolution with the stride: 1 (the first 1x1, as in the paper) or 2 (the 3x3, "v1.5").
        groups: Groups of the 3x3 convolution.
        reduced_filters: Output channels of the first 1x1 convolution; None for `mid_filters`.

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
        **kwargs: Any,
    ) -> None:
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

        unit: dict[str, Any] = {"norm": norm, "activation": activation}
        first, second = (strides, 1) if stride_at == 1 else (1, strides)
        middle: dict[str, Any] = {
            "strides": second,
            "groups": groups,
            "padding": padding,
            "dilation_rate": dilation_rate,
        }
        reduced = mid_filters if reduced_filters is None else reduced_filters
        self.conv1 = self.sublayer(ConvNormAct, "conv1", reduced, 1, strides=first, **unit)
        self.conv2 = self.sublayer(ConvNormAct, "conv2", mid_filters, 3, **middle, **unit)
        self.conv3 = self.sublayer(ConvNormAct, "conv3", filters, 1, **self.last_conv())
        self.make_block([self.conv1, self.conv2, self.conv3])

    def width_parts(self) -> dict[str, Any]:
        """Return the three convolutions, and the parts of the attention and the shortcut."""
        convolutions = {"filters": self.conv3, "mid_filters": self.conv2, "reduced_filters": self.conv1}
        return convolutions | super().width_parts()
