"""Convolution, normalisation, activation: the unit that most architectures repeat."""

from typing import Any

import keras

from .composite import ChainLayer
from .norm_and_activation import Norm, act_layer, norm_layer

# Keras counts every channel of a depthwise kernel into its fan-in, though each output sees but one.
DEPTHWISE_INITIALIZER = {
    "class_name": "VarianceScaling",
    "config": {"scale": 2.0, "mode": "fan_out", "distribution": "uniform"},
}


@keras.saving.register_keras_serializable("pocketzoo")
class NormAct(ChainLayer):
    """A normalisation, then an activation: what stands before a convolution in pre-activation nets.

    Args:
        norm: As in `ConvNormAct`, but not None.
        activation: As in `ConvNormAct`.

    Input and output `(batch, height, width, channels)`.
    """

    def __init__(self, *, norm: Norm = "batch", activation: str | None = "relu", **kwargs):
        super().__init__(**kwargs)
        if norm is None:
            raise ValueError(f"{self.name}: norm is None; NormAct takes a normalisation.")
        self.norm = norm
        self.activation = activation
        self.normalization = norm_layer(self, "norm", norm)
        self.act = act_layer(self, "act", activation)

    def chain(self) -> list[keras.layers.Layer]:
        """The normalisation and the activation."""
        return [self.normalization] if self.act is None else [self.normalization, self.act]


class ConvUnit(ChainLayer):
    """What the units below share: zeros around the input, a convolution, a normalisation, an activation."""

    def make_unit(self, conv_class: type[keras.layers.Layer], *args: Any, **kwargs: Any) -> None:
        """Makes the parts. The convolution has a bias only where no normalisation follows, which would make it idle."""
        zeros, border = _padding(self.padding, self.kernel_size, self.strides, self.dilation_rate)
        use_bias = self.norm is None if self.use_bias is None else self.use_bias
        self.pad = self.sublayer(keras.layers.ZeroPadding2D, "pad", zeros) if any(zeros) else None
        self.conv = self.sublayer(
            conv_class,
            "conv",
            *args,
            strides=self.strides,
            padding=border,
            dilation_rate=self.dilation_rate,
            use_bias=use_bias,
            **kwargs,
        )
        self.normalization = norm_layer(self, "norm", self.norm)
        self.act = act_layer(self, "act", self.activation)

    def chain(self) -> list[keras.layers.Layer]:
        """The parts in order."""
        return [part for part in (self.pad, self.conv, self.normalization, self.act) if part is not None]


def _padding(
    padding: str | int, kernel_size: int | tuple[int, int], strides: int, dilation: int
) -> tuple[tuple[int, int], str]:
    """Zeros to add above and below, and left and right, and the padding that is left to the convolution."""
    if padding in ("same", "valid"):
        return (0, 0), padding
    sides = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
    reach = [dilation * (side - 1) for side in sides]
    if padding == "symmetric":
        zeros = (reach[0] // 2, reach[1] // 2)
    elif isinstance(padding, str):
        raise ValueError(f"padding is {padding!r}; allowed are 'same', 'valid', 'symmetric' and a number of zeros.")
    else:
        zeros = (padding, padding)
    if strides == 1 and [2 * zero for zero in zeros] == reach:
        return (0, 0), "same"  # the same numbers without a layer of their own
    return zeros, "valid"


@keras.saving.register_keras_serializable("pocketzoo")
class ConvNormAct(ConvUnit):
    """A 2-D convolution, then a normalisation, then an activation; the last two may be left out.

    Args:
        filters: Output channels.
        kernel_size: Side of the square kernel, or (height, width).
        strides: Step in both directions.
        padding: `"same"`, `"valid"`, or the number of zeros on each side, as PyTorch and Caffe count: where the stride
            is 2, `"same"` adds more at the far side. `"symmetric"` is as many as the kernel reaches beyond its centre.
        dilation_rate: Step between the kernel's taps.
        groups: Parts of the channels that are convolved apart.
        norm: `"batch"`, `"group"`, `"instance"`, `"layer"`, the config of one of them, or None.
        activation: `"relu"`, `"relu6"`, `"leaky_relu"`, `"prelu"`, `"elu"`, `"swish"`, `"hard_swish"`, `"tanh"` or any
            other of Keras, or None.
        use_bias: By default only where no normalisation follows.
        kernel_initializer: Name of a Keras initialiser.

    Input `(batch, height, width, channels)`, output `(batch, height', width', filters)`.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        *,
        strides: int = 1,
        padding: str | int = "same",
        dilation_rate: int = 1,
        groups: int = 1,
        norm: Norm = "batch",
        activation: str | None = "relu",
        use_bias: bool | None = None,
        kernel_initializer: str = "he_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size if isinstance(kernel_size, int) else tuple(kernel_size)
        self.strides = strides
        self.padding = padding
        self.dilation_rate = dilation_rate
        self.groups = groups
        self.norm = norm
        self.activation = activation
        self.use_bias = use_bias
        self.kernel_initializer = kernel_initializer
        self.make_unit(
            keras.layers.Conv2D, filters, self.kernel_size, groups=groups, kernel_initializer=kernel_initializer
        )

    def width_parts(self) -> dict[str, Any]:
        """The convolution."""
        return {"filters": self.conv}


@keras.saving.register_keras_serializable("pocketzoo")
class DepthwiseConvNormAct(ConvUnit):
    """A depthwise convolution, one kernel a channel, then a normalisation, then an activation.

    Its arguments are those of that name of `ConvNormAct`. Input `(batch, height, width, channels)`, output
    `(batch, height', width', channels)`.
    """

    def __init__(
        self,
        kernel_size: int,
        *,
        strides: int = 1,
        padding: str | int = "same",
        dilation_rate: int = 1,
        norm: Norm = "batch",
        activation: str | None = "relu",
        use_bias: bool | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.kernel_size = kernel_size
        self.strides = strides
        self.padding = padding
        self.dilation_rate = dilation_rate
        self.norm = norm
        self.activation = activation
        self.use_bias = use_bias
        self.make_unit(keras.layers.DepthwiseConv2D, kernel_size, depthwise_initializer=DEPTHWISE_INITIALIZER)


@keras.saving.register_keras_serializable("pocketzoo")
class SeparableConvNormAct(ChainLayer):
    """A depthwise separable convolution: a depthwise one, then a 1x1 one that mixes the channels.

    Sifre, Mallat 2014; Chollet: Xception (arXiv:1610.02357); Howard et al.: MobileNets (arXiv:1704.04861).

    Args:
        filters: Output channels.
        kernel_size: Side of the depthwise kernel.
        strides: Step of the depthwise convolution.
        padding: Of the depthwise convolution, as in `ConvNormAct`.
        dilation_rate: Of the depthwise convolution.
        norm: After the 1x1 convolution; as in `ConvNormAct`.
        activation: After the normalisation.
        between: Whether the normalisation and the activation also stand between the two (MobileNet) or not (Xception).

    Input `(batch, height, width, channels)`, output `(batch, height', width', filters)`.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        *,
        strides: int = 1,
        padding: str | int = "same",
        dilation_rate: int = 1,
        norm: Norm = "batch",
        activation: str | None = "relu",
        between: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.padding = padding
        self.dilation_rate = dilation_rate
        self.norm = norm
        self.activation = activation
        self.between = between
        self.depthwise = self.sublayer(
            DepthwiseConvNormAct,
            "depthwise",
            kernel_size,
            strides=strides,
            padding=padding,
            dilation_rate=dilation_rate,
            norm=norm if between else None,
            activation=activation if between else None,
            use_bias=norm is None if between else False,  # the 1x1 convolution would make it idle
        )
        self.pointwise = self.sublayer(ConvNormAct, "pointwise", filters, 1, norm=norm, activation=activation)

    def chain(self) -> list[keras.layers.Layer]:
        """The depthwise and the 1x1 convolution."""
        return [self.depthwise, self.pointwise]

    def width_parts(self) -> dict[str, Any]:
        """The 1x1 convolution; the depthwise one is as wide as its input."""
        return {"filters": self.pointwise}
