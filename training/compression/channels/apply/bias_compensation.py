"""Bias compensation: removed channels are constant rather than zero, and the layers after them absorb the constants.

Without its filter a channel no longer varies, but its bias, or the shift of its normalization, passes through the
activation into the next kernels, the same at every position. There it adds a number to each output: it can be added to
the bias, or subtracted from the mean of the next normalization. (Ye, Lu, Lin, Wang: Rethinking the
Smaller-Norm-Less-Informative Assumption in Channel Pruning of Convolution Layers, arXiv:1802.00124, section 3.4, do so
for biases.) At the border of a padded convolution zeros stood beside the constants: compensation is exact inside the
map, as if the constants continued around it.
"""

from dataclasses import dataclass

import keras
import numpy as np

from .....core.flat_graph import Node
from ..graph.channel_graph import ChannelGraph
from ..graph.kernel_rules import DepthwiseRule, KernelRule, apply_activation, has_linear_activation
from ..graph.layer_rules import LayerRule, NormalizationRule
from ..graph.rule_table import rule_of


@dataclass(frozen=True)
class Compensation:
    """Constants of removed channels, and where they are absorbed."""

    constants: dict[keras.KerasTensor, np.ndarray]
    """Per tensor and channel: the constant of a removed channel; what is still to be added to a kept one."""
    shifts: dict[int, np.ndarray]
    """By `id` of a weight, a bias or a moving mean: what is to be added to it."""
    absorbed: dict[Node, np.ndarray]
    """What constants add to the outputs of a node with a kernel. Nodes that absorb none are not listed; for them
    removed channels count as zero."""


def compensate(graph: ChannelGraph, keep: np.ndarray) -> Compensation:
    """Return the compensation for removing the units for which `keep` is false."""
    absorbing = _absorbing_nodes(graph)
    zeros = {tensor: np.zeros(len(labels), "float32") for tensor, labels in graph.labels.items()}
    result = Compensation(zeros, {}, {})
    for node in graph.flat.nodes:
        rule = rule_of(node)
        inputs = [result.constants[tensor] for tensor in node.inputs]
        kept = graph.kept(graph.labels[node.outputs[0]], keep)
        if isinstance(rule, KernelRule):
            constants = _through_kernel(result, node, rule, inputs[0], kept, node in absorbing)
        else:
            if _is_batch_norm(node, rule):
                _add(result.shifts, node.operation.moving_mean, -inputs[0], kept)
            constants = rule.propagate(node, inputs)
            if not rule.is_additive(node):
                constants = np.where(kept, 0, constants)
        result.constants[node.outputs[0]] = constants.astype("float32")
    return result


def _through_kernel(
    result: Compensation, node: Node, rule: KernelRule, inputs: np.ndarray, kept: np.ndarray, absorbs: bool
) -> np.ndarray:
    """Return the constants of the layer's outputs, and record in `result` what its bias absorbs."""
    layer = node.operation
    bias = np.zeros(len(kept)) if layer.bias is None else keras.ops.convert_to_numpy(layer.bias)
    added = rule.response(layer, inputs) if absorbs else np.zeros(len(kept))
    if absorbs:
        result.absorbed[node] = added
        _add(result.shifts, layer.bias, added, kept)
    # A removed channel has no filter; a depthwise one still filters the constant of its input.
    removed = apply_activation(layer, (bias + added if isinstance(rule, DepthwiseRule) else bias).astype("float32"))
    return np.where(kept, added if layer.bias is None else 0, removed)


def _add(shifts: dict[int, np.ndarray], weight: keras.Variable | None, shift: np.ndarray, kept: np.ndarray) -> None:
    if weight is not None and np.any(shift[kept]):
        shifts[id(weight)] = np.where(kept, shift, 0)


def _absorbing_nodes(graph: ChannelGraph) -> set[Node]:
    """Return the nodes with kernels that can absorb constants, found from the last node to the first.

    Either the layer has a bias, or what is added to its outputs can be subtracted later.
    """
    absorbing: set[Node] = set()
    later = dict.fromkeys(graph.flat.outputs, False)
    """Whether what is added to the channels of a tensor can be subtracted after it."""
    for node in reversed(graph.flat.nodes):
        rule = rule_of(node)
        after = all(later.get(tensor, True) for tensor in node.outputs)
        passes = _passes(graph, node, rule, after)
        if isinstance(rule, KernelRule) and _absorbs(graph, node, rule, after):
            absorbing.add(node)
            passes = not rule.pads(node.operation)
        for tensor in node.inputs:
            later[tensor] = later.get(tensor, True) and passes
    return absorbing


def _absorbs(graph: ChannelGraph, node: Node, rule: KernelRule, after: bool) -> bool:
    layer = node.operation
    if graph.flat.applications(layer) > 1 or rule.response(layer, np.zeros(node.inputs[0].shape[-1])) is None:
        return False
    if layer.bias is None:
        return has_linear_activation(layer) and after
    return has_linear_activation(layer) or not rule.pads(layer)


def _passes(graph: ChannelGraph, node: Node, rule: LayerRule, after: bool) -> bool:
    """Whether what is added to the channels of its inputs can be subtracted in the node or after it."""
    if isinstance(rule, KernelRule):
        return False
    if isinstance(node.operation, keras.layers.BatchNormalization):
        return graph.flat.applications(node.operation) == 1 and _is_batch_norm(node, rule)
    return rule.is_additive(node) and after


def _is_batch_norm(node: Node, rule: LayerRule) -> bool:
    """Whether a node has a moving mean for each channel, from which a constant can be subtracted."""
    is_batch_norm = isinstance(node.operation, keras.layers.BatchNormalization)
    return is_batch_norm and isinstance(rule, NormalizationRule) and rule.is_by_channel(node)
