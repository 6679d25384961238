"""Convolution, normalization and activation as one layer: the unit that most architectures repeat."""

from typing import Any

import keras

from .composite import ChainLayer
from .dimensions import of_sides
from .norm_and_activation import Norm, activation_layer, norm_layer

# Keras counts every channel of a depthwise kernel in its fan-in, although each output depends on only one.
DEPTHWISE_INITIALIZER = {
    "class_name": "VarianceScaling",
    "config": {"scale": 2.0, "mode": "fan_out", "distribution": "uniform"},
}


@keras.saving.register_keras_serializable("pocketzoo")
class NormAct(ChainLayer):
    """Normalization, then activation, as before each convolution of a pre-activation network.

    Args:
        norm: As in `ConvNormAct`, but not None.
        activation: As in `ConvNormAct`.

    Input and output `(batch, height, width, channels)`.
    """

    def __init__(self, *, norm: Norm = "batch", activation: str | None = "relu", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if norm is None:
            raise ValueError(f"{self.name}: norm is None; NormAct needs a normalization.")
        self.norm = norm
        self.activation = activation
        self.normalization = norm_layer(self, "norm", norm)
        self.act = activation_layer(self, "act", activation)

    def chain(self) -> list[keras.Layer]:
        """Return the normalization and the activation, if there is one."""
        return [self.normalization] if self.act is None else [self.normalization, self.act]


class ConvUnit(ChainLayer):
    """Base of the units below: zero padding, convolution, normalization, activation."""

    kernel_size: int | tuple[int, ...]
    strides: int
    padding: str | int
    dilation_rate: int
    norm: Norm
    activation: str | None
    use_bias: bool | None

    def make_unit(self, conv_class: type[keras.Layer], *args: Any, **kwargs: Any) -> None:
        """Create the sublayers. By default there is a bias only without normalization, which would cancel it."""
        sides = kernel_sides(self.kernel_size, self.dimensions)
        zeros, border = _padding(self.padding, sides, self.strides, self.dilation_rate)
        use_bias = self.norm is None if self.use_bias is None else self.use_bias
        self.pad = self.sublayer(keras.layers.ZeroPadding2D, "pad", of_sides(zeros)) if any(zeros) else None
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
        self.act = activation_layer(self, "act", self.activation)

    def chain(self) -> list[keras.Layer]:
        """Return the sublayers in order."""
        parts: tuple[keras.Layer | None, ...] = (self.pad, self.conv, self.normalization, self.act)
        return [part for part in parts if part is not None]


def kernel_sides(kernel_size: int | tuple[int, ...], dimensions: int) -> tuple[int, ...]:
    """Return the size of a kernel along each axis; of (height, width), a signal has the height.

    Raises:
        ValueError: It has two sides, and the inputs are volumes.
    """
    if isinstance(kernel_size, int):
        return (kernel_size,) * dimensions
    if len(kernel_size) < dimensions:
        raise ValueError(f"a kernel of {kernel_size} has {len(kernel_size)} sides, and the inputs {dimensions}.")
    return tuple(kernel_size[:dimensions])


def _padding(padding: str | int, sides: tuple[int, ...], strides: int, dilation: int) -> tuple[tuple[int, ...], str]:
    """Return the zeros at both ends of each axis, for a kernel of `sides`, and the convolution's own `padding`."""
    none = (0,) * len(sides)
    if isinstance(padding, str) and padding in ("same", "valid"):
        return none, padding
    reach = [dilation * (side - 1) for side in sides]
    if padding == "symmetric":
        zeros = tuple(length // 2 for length in reach)
    elif isinstance(padding, str):
        raise ValueError(f"padding is {padding!r}; allowed are 'same', 'valid', 'symmetric' and a number of zeros.")
    else:
        zeros = (padding,) * len(sides)
    if strides == 1 and [2 * zero for zero in zeros] == reach:
        return none, "same"  # the same result without a padding layer
    return zeros, "valid"


@keras.saving.register_keras_serializable("pocketzoo")
class ConvNormAct(ConvUnit):
    """2-D convolution, then normalization, then activation; the last two are optional.

    Args:
        filters: Output channels.
        kernel_size: Side of the square kernel, or (height, width).
        strides: Stride in both directions.
        padding: `"same"`, `"valid"`, or the number of zeros on each side, as in PyTorch and Caffe (with a stride of 2,
            `"same"` pads more at the bottom and right). `"symmetric"` pads half the dilated kernel size on each side.
        dilation_rate: Dilation rate of the kernel.
        groups: Number of groups of channels that are convolved separately.
        norm: `"batch"`, `"group"`, `"instance"`, `"layer"`, the config of one of them, or None.
        activation: `"relu"`, `"relu6"`, `"leaky_relu"`, `"prelu"`, `"elu"`, `"swish"`, `"hard_swish"`, `"tanh"` or any
            other Keras activation, or None.
        use_bias: Whether the convolution has a bias; None for only where no normalization follows.
        kernel_initializer: Name of a Keras initializer.

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
        **kwargs: Any,
    ) -> None:
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
        sides = self.kernel_size if self.dimensions == 2 else kernel_sides(self.kernel_size, self.dimensions)
        self.make_unit(keras.layers.Conv2D, filters, sides, groups=groups, kernel_initializer=kernel_initializer)

    def width_parts(self) -> dict[str, Any]:
        """Return the convolution."""
        return {"filters": self.conv}


@keras.saving.register_keras_serializable("pocketzoo")
class DepthwiseConvNormAct(ConvUnit):
    """Depthwise convolution, then normalization, then activation.

    The arguments are as in `ConvNormAct`. Input `(batch, height, width, channels)`, output
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
        **kwargs: Any,
    ) -> None:
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
    """Depthwise separable convolution: a depthwise convolution, then a pointwise (1x1) one.

    Sifre, Mallat 2014; Chollet: Xception (arXiv:1610.02357); Howard et al.: MobileNets (arXiv:1704.04861).

    Args:
        filters: Output channels.
        kernel_size: Kernel size of the depthwise convolution.
        strides: Stride of the depthwise convolution.
        padding: Padding of the depthwise convolution, as in `ConvNormAct`.
        dilation_rate: Dilation rate of the depthwise convolution.
        norm: Normalization after the pointwise convolution, as in `ConvNormAct`.
        activation: Activation after the normalization.
        between: Whether normalization and activation also follow the depthwise convolution (MobileNet) or not
            (Xception).

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
        **kwargs: Any,
    ) -> None:
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
            use_bias=norm is None if between else False,  # redundant next to the bias or norm of the pointwise one
        )
        self.pointwise = self.sublayer(ConvNormAct, "pointwise", filters, 1, norm=norm, activation=activation)

    def chain(self) -> list[keras.Layer]:
        """Return the depthwise and the pointwise convolution."""
        return [self.depthwise, self.pointwise]

    def width_parts(self) -> dict[str, Any]:
        """Return the pointwise convolution; the depthwise one has as many channels as its input."""
        return {"filters": self.pointwise}
