"""Rules of layers without kernels: how they pass, join and normalize channels. `rule_table` assigns them to layers."""

from typing import Any

import keras
import numpy as np
from keras import layers

from .....core.flat_graph import Node
from .labels import ChannelLabels, Labels, frozen_labels

MIXING_ACTIVATIONS = ("softmax", "log_softmax", "sparsemax", "glu")
"""Activations whose output for one channel depends on the others."""


class LayerRule:
    """Rule of layers that are not in the table: input and output channels are kept."""

    reason = "is of a type that has no rule"

    def trace(self, graph: ChannelLabels, node: Node, inputs: list[Labels]) -> Labels:
        """Return the labels of the first output; record couplings and channel axes of weights in `graph`."""
        for labels in inputs:
            graph.freeze(labels, graph.name_of(node), f"{type(node.operation).__name__} {self.reason}")
        return frozen_labels(node.outputs[0])

    def propagate(self, node: Node, inputs: list[np.ndarray]) -> np.ndarray:
        """Return the output for constant input channels, one number per channel."""
        return np.zeros(len(frozen_labels(node.outputs[0])), "float32")

    def is_additive(self, node: Node) -> bool:
        """Whether adding a number to an input channel adds exactly that number to the output."""
        return False

    def config_changes(self, node: Node, kept_in: list[np.ndarray], kept_out: np.ndarray) -> dict[str, Any]:
        """Return the changes to the layer's config if only those channels are kept."""
        return {}


class MixingRule(LayerRule):
    """Rule of layers that compute each channel from several."""

    reason = "mixes its channels"


class OtherAxisRule(LayerRule):
    """Rule of layers that act on another axis than that of the channels."""

    reason = "acts on another axis than the last, the channels"


class PassingRule(LayerRule):
    """Rule of layers that act on positions, not channels: pooling, upsampling, dropout."""

    def trace(self, graph: ChannelLabels, node: Node, inputs: list[Labels]) -> Labels:
        """Return the labels of the input."""
        return inputs[0]

    def propagate(self, node: Node, inputs: list[np.ndarray]) -> np.ndarray:
        """Return the same constants."""
        return inputs[0]

    def is_additive(self, node: Node) -> bool:
        """Return True."""
        return True


def _by_axis(sides: Any) -> list[tuple[int, int]]:
    """Return what a layer adds or removes before and after, axis by axis; of signals, one pair."""
    return [tuple(sides)] if isinstance(sides[0], int) else [tuple(pair) for pair in sides]


def _of_axes(pairs: list[tuple[int, int]]) -> Any:
    """Return the pairs in the form of the layer's config."""
    return pairs[0] if len(pairs) == 1 else tuple(pairs)


class PaddingRule(PassingRule):
    """Rule of zero padding; configured as channels-first, it pads the channels of our channels-last tensors."""

    def trace(self, graph: ChannelLabels, node: Node, inputs: list[Labels]) -> Labels:
        """Return the labels of the input between new ones."""
        before, after = self.added(node)
        return np.concatenate([graph.new_labels(before), inputs[0], graph.new_labels(after)])

    def propagate(self, node: Node, inputs: list[np.ndarray]) -> np.ndarray:
        """Return the same constants between zeros."""
        return np.pad(inputs[0], self.added(node))

    def is_additive(self, node: Node) -> bool:
        """Return False: it is not at the border."""
        return False

    def config_changes(self, node: Node, kept_in: list[np.ndarray], kept_out: np.ndarray) -> dict[str, Any]:
        """Return as much padding as is kept on each side."""
        before, after = self.added(node)
        if not before + after:
            return {}
        sides = int(kept_out[:before].sum()), int(kept_out[len(kept_out) - after :].sum())
        return {"padding": _of_axes([*_by_axis(node.operation.padding)[:-1], sides])}

    def added(self, node: Node) -> tuple[int, int]:
        """Return the number of channels added before and after those of the input."""
        layer = node.operation
        return _by_axis(layer.padding)[-1] if getattr(layer, "data_format", None) == "channels_first" else (0, 0)


class CroppingRule(PassingRule):
    """Rule of cropping; configured as channels-first, it crops the channels of our channels-last tensors."""

    def trace(self, graph: ChannelLabels, node: Node, inputs: list[Labels]) -> Labels:
        """Return the remaining labels."""
        return self.propagate(node, inputs)

    def propagate(self, node: Node, inputs: list[np.ndarray]) -> np.ndarray:
        """Return the remaining constants."""
        before, after = self.removed(node)
        return inputs[0][before : len(inputs[0]) - after]

    def config_changes(self, node: Node, kept_in: list[np.ndarray], kept_out: np.ndarray) -> dict[str, Any]:
        """Return how many of the cropped channels are still there on each side."""
        before, after = self.removed(node)
        if not before + after:
            return {}
        sides = int(kept_in[0][:before].sum()), int(kept_in[0][len(kept_in[0]) - after :].sum())
        return {"cropping": _of_axes([*_by_axis(node.operation.cropping)[:-1], sides])}

    def removed(self, node: Node) -> tuple[int, int]:
        """Return the number of channels cropped before and after."""
        layer = node.operation
        return _by_axis(layer.cropping)[-1] if getattr(layer, "data_format", None) == "channels_first" else (0, 0)


class ReshapingRule(PassingRule):
    """Rule of layers that turn a map into a vector, position by position, or back."""

    def trace(self, graph: ChannelLabels, node: Node, inputs: list[Labels]) -> Labels:
        """Return the labels of the input, repeated; they are frozen if input rows do not fit into output rows."""
        length = node.outputs[0].shape[-1]
        if length is None or length % len(inputs[0]):
            return MixingRule().trace(graph, node, inputs)
        return self.propagate(node, inputs)

    def propagate(self, node: Node, inputs: list[np.ndarray]) -> np.ndarray:
        """Return the same constants, repeated."""
        return np.tile(inputs[0], max(1, node.outputs[0].shape[-1] // len(inputs[0])))

    def config_changes(self, node: Node, kept_in: list[np.ndarray], kept_out: np.ndarray) -> dict[str, Any]:
        """Return the new length of the last axis."""
        if isinstance(node.operation, layers.Flatten):
            return {}
        return {"target_shape": (*node.operation.target_shape[:-1], int(kept_out.sum()))}


class PointwiseRule(LayerRule):
    """Rule of activations, which act on each number by itself."""

    def trace(self, graph: ChannelLabels, node: Node, inputs: list[Labels]) -> Labels:
        """Return the labels of the input."""
        layer = node.operation
        if activation_name(layer) in MIXING_ACTIVATIONS or isinstance(layer, layers.Softmax):
            return MixingRule().trace(graph, node, inputs)
        return inputs[0]

    def propagate(self, node: Node, inputs: list[np.ndarray]) -> np.ndarray:
        """Return the activation of the constants."""
        return _apply_to_constants(node, inputs)

    def is_additive(self, node: Node) -> bool:
        """Return whether it is the identity."""
        return isinstance(node.operation, layers.Activation) and activation_name(node.operation) == "linear"


class SlopeRule(PointwiseRule):
    """Rule of PReLU, which has slopes for each channel, for each position, for both, or one for all."""

    def trace(self, graph: ChannelLabels, node: Node, inputs: list[Labels]) -> Labels:
        """Return the labels of the input; slopes run over them unless all channels share theirs."""
        slopes = node.operation.alpha
        if slopes.shape[-1] == len(inputs[0]):
            graph.label_axis(slopes, -1, inputs[0])
        return inputs[0]

    def propagate(self, node: Node, inputs: list[np.ndarray]) -> np.ndarray:
        """Return the activation of the constants; negative ones count as zero if slopes differ between positions."""
        slopes = values_of(node.operation.alpha)
        varies = any(size > 1 for size in slopes.shape[:-1])
        return np.where(inputs[0] < 0, 0 if varies else slopes.ravel() * inputs[0], inputs[0])


class ScalingRule(PointwiseRule):
    """Rule of `Rescaling`: with one scale or offset per channel, all channels are kept."""

    def trace(self, graph: ChannelLabels, node: Node, inputs: list[Labels]) -> Labels:
        """Return the labels of the input."""
        if np.size(node.operation.scale) > 1 or np.size(node.operation.offset) > 1:
            return PerChannelConfigRule().trace(graph, node, inputs)
        return inputs[0]


class PerChannelConfigRule(LayerRule):
    """Rule of layers whose config has one number per channel."""

    reason = "has a number for each channel in its config"


class JoiningRule(LayerRule):
    """Rule of layers that join maps element by element, such as sums and products; single channels are broadcast."""

    def __init__(self, *, is_additive: bool = False):
        self._is_additive = is_additive

    def trace(self, graph: ChannelLabels, node: Node, inputs: list[Labels]) -> Labels:
        """Return the labels of the first input, coupled with those of the others."""
        channels = node.outputs[0].shape[-1]
        whole = [labels for labels in inputs if len(labels) == channels]
        if not whole:
            return MixingRule().trace(graph, node, inputs)
        for labels in whole[1:]:
            graph.couple(whole[0], labels)
        return whole[0]

    def propagate(self, node: Node, inputs: list[np.ndarray]) -> np.ndarray:
        """Return the constants, joined."""
        return _apply_to_constants(node, inputs)

    def is_additive(self, node: Node) -> bool:
        """Return whether it is a sum or difference of maps of the same width."""
        return self._is_additive and len({tensor.shape[-1] for tensor in node.inputs}) == 1


class ConcatenationRule(LayerRule):
    """Rule of concatenation along channels or along positions."""

    def trace(self, graph: ChannelLabels, node: Node, inputs: list[Labels]) -> Labels:
        """Return the labels of all inputs, or of the first, coupled with those of the others."""
        return np.concatenate(inputs) if self._is_along_channels(node) else JoiningRule().trace(graph, node, inputs)

    def propagate(self, node: Node, inputs: list[np.ndarray]) -> np.ndarray:
        """Return the constants of all inputs; along positions, they would differ between positions."""
        return np.concatenate(inputs) if self._is_along_channels(node) else np.zeros_like(inputs[0])

    def is_additive(self, node: Node) -> bool:
        """Return whether channels are concatenated."""
        return self._is_along_channels(node)

    def _is_along_channels(self, node: Node) -> bool:
        return node.operation.axis in (-1, len(node.outputs[0].shape) - 1)


class NormalizationRule(LayerRule):
    """Rule of normalization of each channel by itself."""

    def trace(self, graph: ChannelLabels, node: Node, inputs: list[Labels]) -> Labels:
        """Return the labels of the input; all weights run over them."""
        layer = node.operation
        if isinstance(layer, layers.GroupNormalization) and layer.groups != len(inputs[0]):
            return MixingRule().trace(graph, node, inputs)
        if not self.is_by_channel(node):
            return OtherAxisRule().trace(graph, node, inputs)
        for weight in layer.weights:
            graph.label_axis(weight, 0, inputs[0])
        return inputs[0]

    def propagate(self, node: Node, inputs: list[np.ndarray]) -> np.ndarray:
        """Return the shift: a channel that does not vary is normalized to zero."""
        beta = node.operation.beta if self.is_by_channel(node) else None
        return np.zeros_like(inputs[0]) if beta is None else keras.ops.convert_to_numpy(beta)

    @staticmethod
    def is_by_channel(node: Node) -> bool:
        """Whether the weights run over the last axis."""
        axis = node.operation.axis
        axes = list(axis) if isinstance(axis, list | tuple) else [axis]
        return axes in ([-1], [len(node.inputs[0].shape) - 1])

    def config_changes(self, node: Node, kept_in: list[np.ndarray], kept_out: np.ndarray) -> dict[str, Any]:
        """Return as many groups as there are channels."""
        return {"groups": -1} if isinstance(node.operation, layers.GroupNormalization) else {}


def activation_name(operation: keras.Operation) -> str | None:
    """Return the name of the activation that a layer applies."""
    activation = getattr(operation, "activation", None)
    return getattr(activation, "__name__", None) or getattr(activation, "name", None)


def apply_in_inference(node: Node, values: dict[keras.KerasTensor, Any]) -> Any:
    """Return what the node computes from `values` in inference mode."""
    return node.apply(values, training=False) if "training" in node.kwargs else node.apply(values)


def values_of(tensor: Any) -> np.ndarray:
    """Return the values of a weight or tensor."""
    return keras.ops.convert_to_numpy(tensor)


def _apply_to_constants(node: Node, inputs: list[np.ndarray]) -> np.ndarray:
    """Apply the node to maps of a single position."""
    values = {
        tensor: keras.ops.convert_to_tensor(constants.reshape((1,) * (len(tensor.shape) - 1) + (-1,)), tensor.dtype)
        for tensor, constants in zip(node.inputs, inputs, strict=True)
    }
    with np.errstate(all="ignore"):
        outputs = values_of(apply_in_inference(node, values)).astype("float32").ravel()
    return np.where(np.isfinite(outputs), outputs, 0)  # infinity and NaN add nothing
