"""The inverted residual block of mobile architectures.

Sandler, Howard, Zhu, Zhmoginov, Chen: MobileNetV2: Inverted Residuals and Linear Bottlenecks (arXiv:1801.04381).
"""

from typing import Any

import keras

from .attention import SqueezeExcite
from .composite import CompositeLayer, Shape, build_chain, call_chain, chain_output_shape
from .conv import ConvNormAct, DepthwiseConvNormAct
from .norm_and_activation import Norm


@keras.saving.register_keras_serializable("pocketzoo")
class InvertedResidual(CompositeLayer):
    """1x1 expansion, depthwise convolution, linear 1x1 projection: figure 4(d) of the paper.

    With `squeeze_filters` it is the block of MobileNetV3 (Howard et al. arXiv:1905.02244, figure 4) and of EfficientNet
    (Tan, Le arXiv:1905.11946): a squeeze-excite between the depthwise convolution and the projection.

    Args:
        filters: Output channels.
        expanded_filters: Output channels of the expansion; None for no expansion, so that the depthwise convolution
            has the channels of the input.
        kernel_size: Kernel size of the depthwise convolution.
        strides: Stride of the depthwise convolution.
        padding: Padding of the depthwise convolution, as in `ConvNormAct`.
        squeeze_filters: Hidden channels of the squeeze-excite; None for no squeeze-excite.
        squeeze_activation: Hidden activation of the squeeze-excite.
        gate: Output activation of the squeeze-excite, `"sigmoid"` or `"hard_sigmoid"`.
        shortcut: Whether the input is added to the output; the shapes must be equal.
        stochastic_depth: Probability that a training step drops everything but the shortcut.
        norm: As in `ConvNormAct`.
        activation: Activation after the expansion and the depthwise convolution, as in `ConvNormAct`.

    Input `(batch, height, width, channels)`, output `(batch, ceil(height/strides), ceil(width/strides), filters)`.
    """

    def __init__(
        self,
        filters: int,
        *,
        expanded_filters: int | None = None,
        kernel_size: int = 3,
        strides: int = 1,
        padding: str | int = "same",
        squeeze_filters: int | None = None,
        squeeze_activation: str = "relu",
        gate: str = "sigmoid",
        shortcut: bool = False,
        stochastic_depth: float = 0.0,
        norm: Norm = "batch",
        activation: str | None = "relu6",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if stochastic_depth and not shortcut:
            raise ValueError(f"{self.name}: stochastic_depth is {stochastic_depth}; without a shortcut it must be 0.")
        self.filters = filters
        self.expanded_filters = expanded_filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.padding = padding
        self.squeeze_filters = squeeze_filters
        self.squeeze_activation = squeeze_activation
        self.gate = gate
        self.shortcut = shortcut
        self.stochastic_depth = stochastic_depth
        self.norm = norm
        self.activation = activation

        unit: dict[str, Any] = {"norm": norm, "activation": activation}
        self.expand = (
            None if expanded_filters is None else self.sublayer(ConvNormAct, "expand", expanded_filters, 1, **unit)
        )
        step: dict[str, Any] = {"strides": strides, "padding": padding}
        self.depthwise = self.sublayer(DepthwiseConvNormAct, "depthwise", kernel_size, **step, **unit)
        # Created in `build`, because without an expansion its width is that of the input.
        self.squeeze_excite: SqueezeExcite | None = None
        self.project = self.sublayer(ConvNormAct, "project", filters, 1, norm=norm, activation=None)
        self.drop = None
        if stochastic_depth:  # Huang et al. arXiv:1603.09382: the whole branch is dropped, separately for each image
            noise_shape = (None, *(1,) * (self.dimensions + 1))
            self.drop = self.sublayer(keras.layers.Dropout, "drop", stochastic_depth, noise_shape=noise_shape)
        self.add = self.sublayer(keras.layers.Add, "add") if shortcut else None

    def _branch(self) -> list[keras.Layer]:
        parts = (self.expand, self.depthwise, self.squeeze_excite, self.project, self.drop)
        return [part for part in parts if part is not None]

    def width_parts(self) -> dict[str, Any]:
        """Return the 1x1 convolutions, and the first one of the squeeze-excite."""
        squeeze = None if self.squeeze_excite is None else self.squeeze_excite.reduce
        return {"filters": self.project, "expanded_filters": self.expand, "squeeze_filters": squeeze}

    def build(self, input_shape: Shape) -> None:
        """Build the sublayers."""
        if self.squeeze_filters is not None:
            width = input_shape[-1] if self.expanded_filters is None else self.expanded_filters
            arguments: dict[str, Any] = {"activation": self.squeeze_activation, "gate": self.gate}
            self.squeeze_excite = self.sublayer(SqueezeExcite, "se", width, self.squeeze_filters, **arguments)
        shape = build_chain(self._branch(), input_shape)
        if self.add is not None:
            if shape != tuple(input_shape):
                raise ValueError(f"{self.name}: shortcut is True, but {tuple(input_shape)} cannot be added to {shape}.")
            self.add.build([shape, shape])

    def call(self, inputs: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:
        """Return the projected features, plus the input if there is a shortcut."""
        x = call_chain(self._branch(), inputs, training)
        return x if self.add is None else self.add([inputs, x])

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return `(batch, height', width', filters)`."""
        return chain_output_shape(self._branch(), input_shape)
