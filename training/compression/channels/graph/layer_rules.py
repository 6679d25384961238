"""How kinds of layers treat channels: what passes, joins and normalises them. Which layers are which says `known`."""

from typing import Any

import keras
import numpy as np
from keras import layers

from .channel_graph import Call, ChannelGraph, Labels, frozen_labels

MIXING_ACTIVATIONS = ("softmax", "log_softmax", "sparsemax", "glu")
"""Those whose answer for one channel depends on the others."""


class Kind:
    """What is not known: the channels that it sees and gives stay."""

    why = "is of a kind that is not known"

    def trace(self, graph: ChannelGraph, call: Call, inputs: list[Labels]) -> Labels:
        """The labels of the first output; says to `graph` what is coupled and which weights run over channels."""
        for labels in inputs:
            graph.freeze(labels, call.name, f"{type(call.op).__name__} {self.why}")
        return frozen_labels(call.outputs[0])

    def carry(self, call: Call, inputs: list[np.ndarray]) -> np.ndarray:
        """What constants in the channels of the inputs become, one number a channel of the output."""
        return np.zeros(len(frozen_labels(call.outputs[0])), "float32")

    def adds_up(self, call: Call) -> bool:
        """Whether a number that is added to a channel of the input is all that is added to its answer."""
        return False

    def resized(self, call: Call, kept_in: list[np.ndarray], kept_out: np.ndarray) -> dict[str, Any]:
        """What changes in the layer's config where only those channels stay."""
        return {}


class Mixing(Kind):
    """What computes each channel from several."""

    why = "mixes its channels"


class Passing(Kind):
    """What moves places, not channels: poolings, enlargements, dropout."""

    def trace(self, graph, call, inputs):
        """Those of the input."""
        return inputs[0]

    def carry(self, call, inputs):
        """The same."""
        return inputs[0]

    def adds_up(self, call):
        """Yes."""
        return True


class Padding(Passing):
    """Zeros around the map; told that its input is channels-first, around the channels of ours."""

    def trace(self, graph, call, inputs):
        """Those of the input between new ones."""
        before, after = self.added(call)
        return np.concatenate([graph.fresh(before), inputs[0], graph.fresh(after)])

    def carry(self, call, inputs):
        """The same between zeros."""
        return np.pad(inputs[0], self.added(call))

    def adds_up(self, call):
        """Not at the border."""
        return False

    def resized(self, call, kept_in, kept_out):
        """As many zeros as stay on each side."""
        before, after = self.added(call)
        if not before + after:
            return {}
        sides = int(kept_out[:before].sum()), int(kept_out[len(kept_out) - after :].sum())
        return {"padding": (call.op.padding[0], sides)}

    def added(self, call: Call) -> tuple[int, int]:
        """Channels before and after those of the input."""
        return call.op.padding[1] if call.op.data_format == "channels_first" else (0, 0)


class Cropping(Passing):
    """Cut off at the borders of the map; told that its input is channels-first, of the channels of ours."""

    def trace(self, graph, call, inputs):
        """Those that are left."""
        return self.carry(call, inputs)

    def carry(self, call, inputs):
        """Those that are left."""
        before, after = self.cut(call)
        return inputs[0][before : len(inputs[0]) - after]

    def resized(self, call, kept_in, kept_out):
        """As many channels less as stay of those that are cut off."""
        before, after = self.cut(call)
        if not before + after:
            return {}
        sides = int(kept_in[0][:before].sum()), int(kept_in[0][len(kept_in[0]) - after :].sum())
        return {"cropping": (call.op.cropping[0], sides)}

    def cut(self, call: Call) -> tuple[int, int]:
        """Channels that are cut off before and after."""
        return call.op.cropping[1] if call.op.data_format == "channels_first" else (0, 0)


class Reshaping(Passing):
    """A map written out as a vector, place by place, or the other way round."""

    def trace(self, graph, call, inputs):
        """Those of the input again and again; where its rows do not fit into the new ones nothing is known."""
        length = call.outputs[0].shape[-1]
        if length is None or length % len(inputs[0]):
            return Mixing().trace(graph, call, inputs)
        return self.carry(call, inputs)

    def carry(self, call, inputs):
        """The same again and again."""
        return np.tile(inputs[0], max(1, call.outputs[0].shape[-1] // len(inputs[0])))

    def resized(self, call, kept_in, kept_out):
        """The new length of the last axis."""
        if isinstance(call.op, layers.Flatten):
            return {}
        return {"target_shape": (*call.op.target_shape[:-1], int(kept_out.sum()))}


class Pointwise(Kind):
    """What treats each number by itself, or each channel: activations."""

    def trace(self, graph, call, inputs):
        """Those of the input, over which slopes run where there are some."""
        if activation_name(call.op) in MIXING_ACTIVATIONS or isinstance(call.op, layers.Softmax):
            return Mixing().trace(graph, call, inputs)
        if isinstance(call.op, layers.PReLU):
            graph.tie(call.op.alpha, -1, inputs[0])
        return inputs[0]

    def carry(self, call, inputs):
        """What it makes of them."""
        return _on_constants(call, inputs)

    def adds_up(self, call):
        """The identity alone."""
        return isinstance(call.op, layers.Activation) and activation_name(call.op) == "linear"


class Scaling(Pointwise):
    """A scale and an offset. Told a number for each channel, it keeps all of them."""

    def trace(self, graph, call, inputs):
        """Those of the input."""
        if np.size(call.op.scale) > 1 or np.size(call.op.offset) > 1:
            return ForEach().trace(graph, call, inputs)
        return inputs[0]


class ForEach(Kind):
    """What is told a number for each channel."""

    why = "has a number for each channel in its config"


class Joining(Kind):
    """What joins maps number by number: sums, products. Maps of one channel are spread over all."""

    def __init__(self, *, adds_up: bool = False):
        self._adds_up = adds_up

    def trace(self, graph, call, inputs):
        """Those of the first input, coupled with those of the others."""
        channels = call.outputs[0].shape[-1]
        whole = [labels for labels in inputs if len(labels) == channels]
        if not whole:
            return Mixing().trace(graph, call, inputs)
        for labels in whole[1:]:
            graph.couple(whole[0], labels)
        return whole[0]

    def carry(self, call, inputs):
        """What it makes of them."""
        return _on_constants(call, inputs)

    def adds_up(self, call):
        """Sums and differences of whole maps."""
        return self._adds_up and len({tensor.shape[-1] for tensor in call.inputs}) == 1


class Concatenating(Kind):
    """Channels after channels, or places after places."""

    def trace(self, graph, call, inputs):
        """Those of all inputs, or of the first, coupled with those of the others."""
        return np.concatenate(inputs) if self._of_channels(call) else Joining().trace(graph, call, inputs)

    def carry(self, call, inputs):
        """Those of all inputs; between places of different inputs there is no one constant."""
        return np.concatenate(inputs) if self._of_channels(call) else np.zeros_like(inputs[0])

    def adds_up(self, call):
        """Where channels come after channels."""
        return self._of_channels(call)

    def _of_channels(self, call: Call) -> bool:
        return call.op.axis in (-1, len(call.outputs[0].shape) - 1)


class Normalizing(Kind):
    """A normalisation of each channel by itself."""

    def trace(self, graph, call, inputs):
        """Those of the input, over which all its weights run."""
        axes = call.op.axis if isinstance(call.op.axis, list | tuple) else [call.op.axis]
        whole = isinstance(call.op, layers.GroupNormalization) and call.op.groups != len(inputs[0])
        if whole or list(axes) not in ([-1], [len(call.inputs[0].shape) - 1]):
            return Mixing().trace(graph, call, inputs)
        for weight in call.op.weights:
            graph.tie(weight, 0, inputs[0])
        return inputs[0]

    def carry(self, call, inputs):
        """A channel that no longer varies is normalised to zero, and the shift is what is left."""
        beta = call.op.beta
        return np.zeros_like(inputs[0]) if beta is None else keras.ops.convert_to_numpy(beta)

    def resized(self, call, kept_in, kept_out):
        """As many groups as there are channels."""
        return {"groups": -1} if isinstance(call.op, layers.GroupNormalization) else {}


def activation_name(op: Any) -> str | None:
    """The name of the activation that a layer applies."""
    activation = getattr(op, "activation", None)
    return getattr(activation, "__name__", None) or getattr(activation, "name", None)


def _on_constants(call: Call, inputs: list[np.ndarray]) -> np.ndarray:
    """Applies it to maps of one place."""
    values = {
        id(tensor): keras.ops.convert_to_tensor(constants.reshape((1,) * (len(tensor.shape) - 1) + (-1,)), tensor.dtype)
        for tensor, constants in zip(call.inputs, inputs, strict=True)
    }
    with np.errstate(all="ignore"):
        answers = values_of(call.apply(values)).astype("float32").ravel()
    return np.where(np.isfinite(answers), answers, 0)  # what is no number adds nothing


def values_of(tensor: Any) -> np.ndarray:
    """A weight's or a tensor's numbers."""
    return keras.ops.convert_to_numpy(tensor)
