"""How layers with kernels treat channels: each makes channels of its own, but for depthwise ones."""

import keras
import numpy as np

from .channel_graph import Call, ChannelGraph, Labels
from .layer_rules import MIXING_ACTIVATIONS, Kind, Mixing, activation_name, values_of


class Kernel(Kind):
    """What multiplies with a kernel: convolutions and dense layers. Each makes channels of its own."""

    width = "filters"

    def trace(self, graph, call, inputs):
        """New ones."""
        layer, (labels,) = call.op, inputs
        made = graph.produce(layer, getattr(layer, self.width))
        self.tie(graph, layer, labels, made)
        graph.tie(layer.bias, 0, made)
        if activation_name(layer) in MIXING_ACTIVATIONS:
            graph.freeze(made, call.name, f"{activation_name(layer)} mixes its channels")
        return made

    def tie(self, graph: ChannelGraph, layer: keras.Layer, labels: Labels, made: Labels) -> None:
        """Says to `graph` over which channels the kernels run."""
        graph.tie(layer.kernel, -2, labels)
        graph.tie(layer.kernel, -1, made)

    def resized(self, call, kept_in, kept_out):
        """The number of channels that it makes."""
        return {self.width: int(kept_out.sum())}

    def kernels(self, layer: keras.Layer) -> list[keras.Variable]:
        """What it multiplies with at every place."""
        return [layer.kernel]

    def places(self, call: Call) -> tuple[int | None, ...]:
        """The axes over which the kernels are applied."""
        return tuple(call.outputs[0].shape[1:-1])

    def pads(self, layer: keras.Layer) -> bool:
        """Whether it sees zeros around the map."""
        return getattr(layer, "padding", "valid") != "valid" and max(layer.kernel_size) > 1

    def response(self, layer: keras.Layer, constants: np.ndarray) -> np.ndarray | None:
        """What constants in the channels of the input add to each output, before bias and activation, off the border;
        None where that differs from place to place."""
        return constants @ values_of(layer.kernel)


class Dense(Kernel):
    """A dense layer, over the last axis."""

    width = "units"


class Convolution(Kernel):
    """A convolution, plain or grouped."""

    def tie(self, graph, layer, labels, made):
        """The same; as many channels must stay in each group."""
        graph.tie(layer.kernel, -2, labels, groups=layer.groups)
        graph.tie(layer.kernel, -1, made)
        if layer.groups > 1:
            graph.balance(labels, layer.groups)
            graph.balance(made, layer.groups)

    def response(self, layer, constants):
        """The sum over the taps, group by group."""
        taps = values_of(layer.kernel).sum(axis=(0, 1))
        parts = np.split(taps, layer.groups, axis=1)
        seen = np.split(constants, layer.groups)
        return np.concatenate([part @ taps for part, taps in zip(seen, parts, strict=True)])


class Transposed(Kernel):
    """A transposed convolution."""

    def tie(self, graph, layer, labels, made):
        """The other way round."""
        graph.tie(layer.kernel, -1, labels)
        graph.tie(layer.kernel, -2, made)

    def places(self, call):
        """Each place of the input is spread over the whole kernel."""
        return tuple(call.inputs[0].shape[1:-1])

    def response(self, layer, constants):
        """Places next to one another see different taps."""
        return None


class Depthwise(Kernel):
    """A depthwise convolution: its channels are those of its input, each as often as the kernel is deep."""

    def trace(self, graph, call, inputs):
        """Those of the input, repeated."""
        layer = call.op
        if activation_name(layer) in MIXING_ACTIVATIONS:
            return Mixing().trace(graph, call, inputs)
        graph.tie(layer.kernel, -2, inputs[0])
        made = np.repeat(inputs[0], layer.depth_multiplier)
        graph.tie(layer.bias, 0, made)
        return made

    def resized(self, call, kept_in, kept_out):
        """Nothing: it is as wide as its input."""
        return {}

    def response(self, layer, constants):
        """The sum over the taps, each channel by itself."""
        return (constants[:, None] * values_of(layer.kernel).sum(axis=(0, 1))).ravel()


class Separable(Kernel):
    """Keras' depthwise separable convolution, two kernels in one layer."""

    def tie(self, graph, layer, labels, made):
        """The depthwise kernel over the input's, the other over those times its depth."""
        graph.tie(layer.depthwise_kernel, -2, labels)
        graph.tie(layer.pointwise_kernel, -2, np.repeat(labels, layer.depth_multiplier))
        graph.tie(layer.pointwise_kernel, -1, made)

    def kernels(self, layer):
        """Both."""
        return [layer.depthwise_kernel, layer.pointwise_kernel]

    def response(self, layer, constants):
        """Of one after the other."""
        filtered = (constants[:, None] * values_of(layer.depthwise_kernel).sum(axis=(0, 1))).ravel()
        return filtered @ values_of(layer.pointwise_kernel)[0, 0]


def linear(layer: keras.Layer) -> bool:
    """Whether a layer with a kernel has no activation of its own."""
    return activation_name(layer) == "linear"


def activated(layer: keras.Layer, values: np.ndarray) -> np.ndarray:
    """`values`, one a channel, under the layer's own activation."""
    return values_of(layer.activation(keras.ops.convert_to_tensor(values[None])))[0]
