"""Densely connected blocks.

Huang, Liu, van der Maaten, Weinberger: Densely Connected Convolutional Networks (arXiv:1608.06993).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import keras

from .composite import ChainLayer, CompositeLayer, Shape, build_chain, call_chain
from .conv import ConvNormAct, NormAct
from .norm_and_activation import Norm


@keras.saving.register_keras_serializable("pocketzoo")
class DenseBlock(CompositeLayer):
    """Densely connected layers: each takes the outputs of all earlier ones (section 3 of the paper, DenseNet-B).

    Every layer is `conv3x3(relu(norm(conv1x1(relu(norm(x))))))`, and its output is concatenated to its input.

    Args:
        growths: Output channels of each layer (the growth rate k in the paper).
        bottlenecks: Channels between the two convolutions of each layer (4 k in the paper).
        norm: As in `ConvNormAct`.
        activation: As in `ConvNormAct`.

    Input `(batch, height, width, channels)`, output `(batch, height, width, channels + sum(growths))`.
    """

    def __init__(
        self,
        growths: Sequence[int],
        bottlenecks: Sequence[int],
        *,
        norm: Norm = "batch",
        activation: str = "relu",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if len(growths) != len(bottlenecks):
            raise ValueError(f"{self.name}: {len(growths)} growths, {len(bottlenecks)} bottlenecks; counts must match.")
        self.growths = list(growths)
        self.bottlenecks = list(bottlenecks)
        self.norm = norm
        self.activation = activation

        unit: dict[str, Any] = {"norm": norm, "activation": activation}
        # The norm of the next layer would cancel a bias.
        bare: dict[str, Any] = {"norm": None, "activation": None, "use_bias": False}
        numbers = range(1, len(self.growths) + 1)
        self.pres = [self.sublayer(NormAct, f"layer{n}_pre", **unit) for n in numbers]
        self.convs1 = [
            self.sublayer(ConvNormAct, f"layer{n}_conv1", width, 1, **unit)
            for n, width in zip(numbers, bottlenecks, strict=True)
        ]
        self.convs2 = [
            self.sublayer(ConvNormAct, f"layer{n}_conv2", width, 3, **bare)
            for n, width in zip(numbers, growths, strict=True)
        ]
        self.joins = [self.sublayer(keras.layers.Concatenate, f"layer{n}_join") for n in numbers]

    def _layers_in_order(self) -> Iterator[tuple[list[keras.Layer], keras.Layer]]:
        for pre, conv1, conv2, join in zip(self.pres, self.convs1, self.convs2, self.joins, strict=True):
            yield [pre, conv1, conv2], join

    def width_parts(self) -> dict[str, Any]:
        """Return the convolutions of every layer."""
        return {"growths": list(self.convs2), "bottlenecks": list(self.convs1)}

    def build(self, input_shape: Shape) -> None:
        """Build the layers, each for the concatenated outputs of the layers before it."""
        shape = tuple(input_shape)
        for layers, join in self._layers_in_order():
            new = build_chain(layers, shape)
            join.build([shape, new])
            shape = (*shape[:-1], shape[-1] + new[-1])

    def call(self, inputs: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:
        """Return the input concatenated with the output of every layer."""
        x = inputs
        for layers, join in self._layers_in_order():
            x = join([x, call_chain(layers, x, training)])
        return x

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return `(batch, height, width, channels + sum(growths))`."""
        return (*input_shape[:-1], input_shape[-1] + sum(self.growths))


@keras.saving.register_keras_serializable("pocketzoo")
class Transition(ChainLayer):
    """Transition between dense blocks: normalization, activation, 1x1 convolution, 2x2 average pooling.

    Args:
        filters: Output channels.
        norm: As in `ConvNormAct`.
        activation: As in `ConvNormAct`.

    Input `(batch, height, width, channels)`, output `(batch, height // 2, width // 2, filters)`.
    """

    def __init__(self, filters: int, *, norm: Norm = "batch", activation: str = "relu", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.norm = norm
        self.activation = activation
        self.pre = self.sublayer(NormAct, "pre", norm=norm, activation=activation)
        self.conv = self.sublayer(ConvNormAct, "conv", filters, 1, norm=None, activation=None, use_bias=False)
        self.pool = self.sublayer(keras.layers.AveragePooling2D, "pool", 2)

    def chain(self) -> list[keras.Layer]:
        """Return the sublayers in order."""
        return [self.pre, self.conv, self.pool]

    def width_parts(self) -> dict[str, Any]:
        """Return the convolution."""
        return {"filters": self.conv}
