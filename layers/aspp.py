"""Atrous spatial pyramid pooling."""

from collections.abc import Sequence
from typing import Any

import keras

from .composite import CompositeLayer, Shape, build_chain, call_chain
from .conv import ConvNormAct
from .norm_and_activation import Norm, activation_layer, norm_layer


@keras.saving.register_keras_serializable("pocketzoo")
class ASPP(CompositeLayer):
    """Atrous spatial pyramid pooling: parallel 1x1, dilated 3x3 and image-pooling branches, and a 1x1 projection.

    Chen, Papandreou, Schroff, Adam: Rethinking Atrous Convolution for Semantic Image Segmentation (arXiv:1706.05587),
    section 3.3. The image-level features are the same at every pixel, so their part of the projection is computed once
    and broadcast. The result equals the paper's upsampling and concatenation, at any input size, and uses only
    operations that edge runtimes support. The projection kernel is therefore split: its last `pooled_filters` input
    channels are in `project_pooled`, the others in `project`.

    Args:
        filters: Output channels.
        branch_filters: Channels of the 1x1 convolution and of each dilated one.
        pooled_filters: Channels of the image-level features.
        rates: Dilation rate of each 3x3 convolution.
        dropout: Dropout rate of the output.
        norm: Normalization after every convolution of a branch and after the projection; as in `ConvNormAct`.
        activation: Activation after each of these normalizations.

    Input `(batch, height, width, channels)`, output `(batch, height, width, filters)`.
    """

    def __init__(
        self,
        filters: int,
        branch_filters: Sequence[int],
        pooled_filters: int,
        rates: Sequence[int],
        *,
        dropout: float = 0.0,
        norm: Norm = "batch",
        activation: str = "relu",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if len(branch_filters) != len(rates) + 1 or not rates:
            raise ValueError(
                f"{self.name}: {len(branch_filters)} branch_filters for {len(rates)} rates; give at least one rate, "
                "and one width for the 1x1 convolution and for each rate."
            )
        self.filters = filters
        self.branch_filters = list(branch_filters)
        self.pooled_filters = pooled_filters
        self.rates = list(rates)
        self.dropout = dropout
        self.norm = norm
        self.activation = activation

        unit: dict[str, Any] = {"norm": norm, "activation": activation}
        bare: dict[str, Any] = {"norm": None, "activation": None}
        point, *dilated = self.branch_filters
        self.branches = [self.sublayer(ConvNormAct, "point", point, 1, **unit)]
        for number, (width, rate) in enumerate(zip(dilated, self.rates, strict=True), start=1):
            self.branches.append(self.sublayer(ConvNormAct, f"atrous{number}", width, 3, dilation_rate=rate, **unit))
        self.join = self.sublayer(keras.layers.Concatenate, "join")
        self.project = self.sublayer(ConvNormAct, "project", filters, 1, use_bias=norm is None, **bare)
        self.pool = self.sublayer(keras.layers.GlobalAveragePooling2D, "pool", keepdims=True)
        self.pooled = self.sublayer(ConvNormAct, "pooled", pooled_filters, 1, **unit)
        self.project_pooled = self.sublayer(ConvNormAct, "project_pooled", filters, 1, use_bias=False, **bare)
        self.add = self.sublayer(keras.layers.Add, "add")
        drop = self.sublayer(keras.layers.Dropout, "drop", dropout) if dropout else None
        parts = (norm_layer(self, "norm", norm), activation_layer(self, "act", activation), drop)
        self.after = [part for part in parts if part is not None]

    def width_parts(self) -> dict[str, Any]:
        """Return the branches, the image-pooling convolution and the projection."""
        return {"filters": self.project, "branch_filters": list(self.branches), "pooled_filters": self.pooled}

    def build(self, input_shape: Shape) -> None:
        """Build the sublayers."""
        shapes = [build_chain([branch], input_shape) for branch in self.branches]
        self.join.build(shapes)
        local = build_chain([self.project], self.join.compute_output_shape(shapes))
        image = build_chain([self.pool, self.pooled, self.project_pooled], input_shape)
        self.add.build([local, image])
        build_chain(self.after, local)

    def call(self, inputs: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:
        """Return the projected features of the branches and of the whole image."""
        branches = self.join([branch(inputs, training=training) for branch in self.branches])
        image = call_chain([self.pool, self.pooled, self.project_pooled], inputs, training)
        return call_chain(self.after, self.add([self.project(branches), image]), training)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return `(batch, height, width, filters)`."""
        return (*input_shape[:-1], self.filters)
