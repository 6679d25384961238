"""Densely connected blocks.

Huang, Liu, van der Maaten, Weinberger: Densely Connected Convolutional Networks (arXiv:1608.06993).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import keras

from .composite import ChainLayer, CompositeLayer, build_chain, call_chain
from .conv import ConvNormAct, NormAct
from .norm_and_activation import Norm


@keras.saving.register_keras_serializable("pocketzoo")
class DenseBlock(CompositeLayer):
    """Layers that each see all the maps before them and add their own: figure 1 and section 3 of the paper, DenseNet-B.

    Every layer is `conv3x3(relu(norm(conv1x1(relu(norm(x))))))`, and its output is concatenated to its input.

    Args:
        growths: New channels of each layer (k in the paper).
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
        **kwargs,
    ):
        super().__init__(**kwargs)
        if len(growths) != len(bottlenecks):
            raise ValueError(f"{self.name}: {len(growths)} growths and {len(bottlenecks)} bottlenecks; give one each.")
        self.growths = list(growths)
        self.bottlenecks = list(bottlenecks)
        self.norm = norm
        self.activation = activation

        unit = {"norm": norm, "activation": activation}
        bare = {"norm": None, "activation": None, "use_bias": False}  # the next layer's norm would make a bias idle
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

    def _layers_in_order(self) -> Iterator[tuple[list[keras.layers.Layer], keras.layers.Layer]]:
        for *layers, join in zip(self.pres, self.convs1, self.convs2, self.joins, strict=True):
            yield layers, join

    def width_parts(self) -> dict[str, Any]:
        """The convolutions of every layer."""
        return {"growths": list(self.convs2), "bottlenecks": list(self.convs1)}

    def build(self, input_shape):
        """Builds the layers, each for all the channels before it."""
        shape = tuple(input_shape)
        for layers, join in self._layers_in_order():
            new = build_chain(layers, shape)
            join.build([shape, new])
            shape = (*shape[:-1], shape[-1] + new[-1])

    def call(self, inputs, training=None):
        """The input and all that the layers add to it."""
        x = inputs
        for layers, join in self._layers_in_order():
            x = join([x, call_chain(layers, x, training)])
        return x

    def compute_output_shape(self, input_shape):
        """`(batch, height, width, channels + sum(growths))`."""
        return (*input_shape[:-1], input_shape[-1] + sum(self.growths))


@keras.saving.register_keras_serializable("pocketzoo")
class Transition(ChainLayer):
    """What stands between two dense blocks: normalise, a 1x1 convolution to fewer channels, halve the map.

    Args:
        filters: Output channels.
        norm: As in `ConvNormAct`.
        activation: As in `ConvNormAct`.

    Input `(batch, height, width, channels)`, output `(batch, height // 2, width // 2, filters)`.
    """

    def __init__(self, filters: int, *, norm: Norm = "batch", activation: str = "relu", **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.norm = norm
        self.activation = activation
        self.pre = self.sublayer(NormAct, "pre", norm=norm, activation=activation)
        self.conv = self.sublayer(ConvNormAct, "conv", filters, 1, norm=None, activation=None, use_bias=False)
        self.pool = self.sublayer(keras.layers.AveragePooling2D, "pool", 2)

    def chain(self) -> list[keras.layers.Layer]:
        """The parts in order."""
        return [self.pre, self.conv, self.pool]

    def width_parts(self) -> dict[str, Any]:
        """The convolution."""
        return {"filters": self.conv}
