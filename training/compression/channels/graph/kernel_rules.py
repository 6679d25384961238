"""Rules of layers with kernels: all but depthwise ones compute new channels."""

from typing import Any

import keras
import numpy as np

from .....core.flat_graph import Node
from .....core.layer_traits import traits_of
from .labels import ChannelLabels, Labels
from .layer_rules import MIXING_ACTIVATIONS, LayerRule, MixingRule, activation_name, values_of


class KernelRule(LayerRule):
    """Rule of convolutions and dense layers: each computes new channels."""

    def trace(self, graph: ChannelLabels, node: Node, inputs: list[Labels]) -> Labels:
        """Return new labels."""
        layer, (labels,) = node.operation, inputs
        made = graph.produce(layer, getattr(layer, traits_of(layer).width))
        self.label_kernels(graph, layer, labels, made)
        graph.label_axis(layer.bias, 0, made)
        if activation_name(layer) in MIXING_ACTIVATIONS:
            graph.freeze(made, graph.name_of(node), f"{activation_name(layer)} mixes its channels")
        elif getattr(layer.activation, "weights", None):  # a layer, such as PReLU, whose weights have no labels
            graph.freeze(made, graph.name_of(node), "its activation has weights of its own")
        return made

    def label_kernels(self, graph: ChannelLabels, layer: keras.Layer, labels: Labels, made: Labels) -> None:
        """Record in `graph` the channel axes of the kernels."""
        kernel, groups = traits_of(layer).main_kernel, getattr(layer, "groups", 1)
        graph.label_axis(kernel.of(layer), kernel.input_axis, labels, groups=groups)
        graph.label_axis(kernel.of(layer), kernel.output_axes[0], made)
        if groups > 1:
            graph.group(labels, groups)
            graph.group(made, groups)

    def config_changes(self, node: Node, kept_in: list[np.ndarray], kept_out: np.ndarray) -> dict[str, Any]:
        """Return the number of output channels."""
        return {traits_of(node.operation).width: int(kept_out.sum())}

    def pads(self, layer: keras.Layer) -> bool:
        """Whether its windows see zero padding."""
        return getattr(layer, "padding", "valid") != "valid" and max(layer.kernel_size) > 1

    def response(self, layer: keras.Layer, constants: np.ndarray) -> np.ndarray | None:
        """Return what constant input channels add to each output before bias and activation, away from the border.

        Args:
            layer: With a kernel.
            constants: One number per input channel.

        Returns:
            One number per output channel; None if it differs between positions.
        """
        return constants @ values_of(layer.kernel)


class ConvolutionRule(KernelRule):
    """Rule of plain and grouped convolutions."""

    def response(self, layer: keras.Layer, constants: np.ndarray) -> np.ndarray | None:
        """Return the sum over the window, group by group."""
        taps = _sum_over_window(layer.kernel)
        parts = np.split(taps, layer.groups, axis=1)
        seen = np.split(constants, layer.groups)
        return np.concatenate([part @ taps for part, taps in zip(seen, parts, strict=True)])


class TransposedConvolutionRule(KernelRule):
    """Rule of transposed convolutions."""

    def response(self, layer: keras.Layer, constants: np.ndarray) -> np.ndarray | None:
        """Return None: neighboring positions see different parts of the kernel."""
        return None


class DepthwiseRule(KernelRule):
    """Rule of depthwise convolutions: each input channel becomes `depth_multiplier` output channels."""

    def trace(self, graph: ChannelLabels, node: Node, inputs: list[Labels]) -> Labels:
        """Return the labels of the input, repeated."""
        layer = node.operation
        if activation_name(layer) in MIXING_ACTIVATIONS or getattr(layer.activation, "weights", None):
            return MixingRule().trace(graph, node, inputs)
        graph.label_axis(layer.kernel, -2, inputs[0])
        made = np.repeat(inputs[0], layer.depth_multiplier)
        graph.label_axis(layer.bias, 0, made)
        return made

    def config_changes(self, node: Node, kept_in: list[np.ndarray], kept_out: np.ndarray) -> dict[str, Any]:
        """Return nothing: the width follows the input."""
        return {}

    def response(self, layer: keras.Layer, constants: np.ndarray) -> np.ndarray | None:
        """Return the sum over the window, each channel by itself."""
        return (constants[:, None] * _sum_over_window(layer.kernel)).ravel()


class SeparableRule(KernelRule):
    """Rule of `SeparableConv2D`, a depthwise and a pointwise kernel in one layer."""

    def label_kernels(self, graph: ChannelLabels, layer: keras.Layer, labels: Labels, made: Labels) -> None:
        """Record both: the pointwise one runs over the input channels times the depth multiplier."""
        graph.label_axis(layer.depthwise_kernel, -2, labels)
        graph.label_axis(layer.pointwise_kernel, -2, np.repeat(labels, layer.depth_multiplier))
        graph.label_axis(layer.pointwise_kernel, -1, made)

    def response(self, layer: keras.Layer, constants: np.ndarray) -> np.ndarray | None:
        """Return that of one kernel after the other."""
        filtered = (constants[:, None] * _sum_over_window(layer.depthwise_kernel)).ravel()
        return filtered @ _sum_over_window(layer.pointwise_kernel)


def _sum_over_window(kernel: keras.Variable) -> np.ndarray:
    """Return the sum of a kernel over its positions, `(inputs, outputs)`."""
    return values_of(kernel).sum(axis=tuple(range(len(kernel.shape) - 2)))


def has_linear_activation(layer: keras.Layer) -> bool:
    """Whether a layer with a kernel has no activation of its own."""
    return activation_name(layer) == "linear"


def apply_activation(layer: keras.Layer, values: np.ndarray) -> np.ndarray:
    """Return the layer's own activation of `values`, one per channel."""
    return values_of(layer.activation(keras.ops.convert_to_tensor(values[None])))[0]
