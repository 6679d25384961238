"""The residual block of Xception.

Chollet: Xception: Deep Learning with Depthwise Separable Convolutions (arXiv:1610.02357), figure 5.
"""

from collections.abc import Sequence
from typing import Any

import keras

from .composite import CompositeLayer, Shape, build_chain, call_chain, chain_output_shape
from .conv import ConvNormAct, SeparableConvNormAct
from .norm_and_activation import Norm, activation_layer


@keras.saving.register_keras_serializable("pocketzoo")
class XceptionBlock(CompositeLayer):
    """Residual block of repeated activation, separable convolution and normalization.

    Args:
        filters: Output channels of each separable convolution; the last value is that of the block.
        strides: Stride of the max pooling at the end of the residual branch and of the shortcut; no pooling if 1.
        shortcut: Type of the shortcut: `"identity"` (the shape must not change) or `"projection"` (a 1x1 convolution
            and a normalization).
        first_activation: Whether there is an activation before the first convolution.
        norm: As in `ConvNormAct`.
        activation: Activation before each separable convolution.

    Input `(batch, height, width, channels)`, output `(batch, ceil(height/strides), ceil(width/strides), filters[-1])`.
    """

    def __init__(
        self,
        filters: Sequence[int],
        *,
        strides: int = 1,
        shortcut: str = "identity",
        first_activation: bool = True,
        norm: Norm = "batch",
        activation: str = "relu",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not filters:
            raise ValueError(f"{self.name}: filters is empty; give at least one width.")
        self.filters = list(filters)
        self.strides = strides
        self.shortcut = shortcut
        self.first_activation = first_activation
        self.norm = norm
        self.activation = activation

        self.residual_layers: list[keras.Layer] = []
        for number, width in enumerate(filters, start=1):
            if number > 1 or first_activation:
                self.residual_layers.append(activation_layer(self, f"act{number}", activation))
            separable = self.sublayer(SeparableConvNormAct, f"sepconv{number}", width, 3, norm=norm, activation=None)
            self.residual_layers.append(separable)
        if strides > 1:
            pool = self.sublayer(keras.layers.MaxPooling2D, "pool", 3, strides=strides, padding="same")
            self.residual_layers.append(pool)
        self.shortcut_layers = self._shortcut()
        self.add = self.sublayer(keras.layers.Add, "add")

    def width_parts(self) -> dict[str, Any]:
        """Return the separable convolutions."""
        return {"filters": [part for part in self.residual_layers if isinstance(part, SeparableConvNormAct)]}

    def _shortcut(self) -> list[keras.Layer]:
        if self.shortcut == "identity":
            return []
        if self.shortcut == "projection":
            arguments: dict[str, Any] = {"strides": self.strides, "norm": self.norm, "activation": None}
            return [self.sublayer(ConvNormAct, "shortcut", self.filters[-1], 1, **arguments)]
        raise ValueError(f"{self.name}: shortcut is {self.shortcut!r}; allowed are 'identity' and 'projection'.")

    def build(self, input_shape: Shape) -> None:
        """Build the sublayers.

        Raises:
            ValueError: The residual and the shortcut have different shapes.
        """
        residual = build_chain(self.residual_layers, input_shape)
        shortcut = build_chain(self.shortcut_layers, input_shape)
        if residual != shortcut:
            raise ValueError(
                f"{self.name}: the separable convolutions output {residual} but the {self.shortcut!r} shortcut "
                f"{shortcut}; use 'projection'."
            )
        self.add.build([residual, shortcut])

    def call(self, inputs: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:
        """Return the sum of the residual and the shortcut."""
        residual = call_chain(self.residual_layers, inputs, training)
        return self.add([residual, call_chain(self.shortcut_layers, inputs, training)])

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return `(batch, ceil(height/strides), ceil(width/strides), filters[-1])`."""
        return chain_output_shape(self.residual_layers, input_shape)
