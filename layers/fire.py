"""The fire module of SqueezeNet."""

from typing import Any

import keras

from .composite import CompositeLayer, Shape, build_chain
from .conv import ConvNormAct
from .norm_and_activation import Norm


@keras.saving.register_keras_serializable("pocketzoo")
class FireModule(CompositeLayer):
    """Fire module: a 1x1 squeeze convolution, then parallel 1x1 and 3x3 expand convolutions (figure 1 of the paper).

    Iandola, Han, Moskewicz, Ashraf, Dally, Keutzer: SqueezeNet (arXiv:1602.07360).

    Args:
        squeeze_filters: Channels of the squeeze convolution.
        expand1x1_filters: Channels of the 1x1 expand convolution, the first channels of the output.
        expand3x3_filters: Channels of the 3x3 expand convolution, the last channels of the output.
        norm: Normalization after every convolution, as in `ConvNormAct`; the paper has none.
        activation: Activation after every convolution, as in `ConvNormAct`.

    Input `(batch, height, width, channels)`, output `(batch, height, width, expand1x1_filters + expand3x3_filters)`.
    """

    def __init__(
        self,
        squeeze_filters: int,
        expand1x1_filters: int,
        expand3x3_filters: int,
        *,
        norm: Norm = None,
        activation: str | None = "relu",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.squeeze_filters = squeeze_filters
        self.expand1x1_filters = expand1x1_filters
        self.expand3x3_filters = expand3x3_filters
        self.norm = norm
        self.activation = activation

        unit: dict[str, Any] = {"norm": norm, "activation": activation}
        self.squeeze = self.sublayer(ConvNormAct, "squeeze", squeeze_filters, 1, **unit)
        self.expand1x1 = self.sublayer(ConvNormAct, "expand1x1", expand1x1_filters, 1, **unit)
        self.expand3x3 = self.sublayer(ConvNormAct, "expand3x3", expand3x3_filters, 3, **unit)
        self.join = self.sublayer(keras.layers.Concatenate, "join")

    def width_parts(self) -> dict[str, Any]:
        """Return the three convolutions."""
        expansions = {"expand1x1_filters": self.expand1x1, "expand3x3_filters": self.expand3x3}
        return {"squeeze_filters": self.squeeze, **expansions}

    def build(self, input_shape: Shape) -> None:
        """Build the sublayers."""
        squeezed = build_chain([self.squeeze], input_shape)
        self.join.build([build_chain([part], squeezed) for part in (self.expand1x1, self.expand3x3)])

    def call(self, inputs: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:
        """Return the concatenated outputs of the two expand convolutions."""
        squeezed = self.squeeze(inputs, training=training)
        return self.join([self.expand1x1(squeezed, training=training), self.expand3x3(squeezed, training=training)])

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return `(batch, height, width, expand1x1_filters + expand3x3_filters)`."""
        return (*input_shape[:-1], self.expand1x1_filters + self.expand3x3_filters)
