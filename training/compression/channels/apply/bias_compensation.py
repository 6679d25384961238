"""What removed channels still send: constants, which the layers after them take into their own.

Without its filter a channel no longer varies, but it is not zero: a bias, or the shift of a normalisation, goes through
the activation into the next kernels and is the same at every place. There it is a number that is added to each output,
and so it becomes part of the bias, or is taken off the mean that the next normalisation subtracts. (Ye, Lu, Lin, Wang:
Rethinking the Smaller-Norm-Less-Informative Assumption in Channel Pruning of Convolution Layers, arXiv:1802.00124,
section 3.4, do so for biases.) At the border of a padded convolution zeros stood beside the constants: what is taken
over is right inside the map, as if the constants went on around it.
"""

from dataclasses import dataclass

import keras
import numpy as np

from ..graph.channel_graph import Call, ChannelGraph
from ..graph.kernel_rules import Depthwise, Kernel, activated, linear
from ..graph.layer_rules import Kind, Normalizing
from ..graph.rule_table import kind_of


@dataclass(frozen=True)
class Leftovers:
    """Constants of one choice of units."""

    sent: dict[int, np.ndarray]
    """By tensor: of removed channels what they send; of those that stay what is still to be added to them."""
    shifts: dict[int, np.ndarray]
    """By weight, a bias or a moving mean: what is to be added to it."""
    taken: dict[int, np.ndarray]
    """By call of a kernel, in the order of the graph: what the constants add to its outputs; not there where nothing
    takes them, and removed channels count as zero."""


def leftovers(graph: ChannelGraph, keep: np.ndarray) -> Leftovers:
    """What is sent where the units for which `keep` is false are removed."""
    takers = _takers(graph)
    nothing = {key: np.zeros(len(labels), "float32") for key, labels in graph.labels.items()}
    result = Leftovers(nothing, {}, {})
    for number, call in enumerate(graph.calls):
        kind = kind_of(call)
        constants = [result.sent[id(tensor)] for tensor in call.inputs]
        stays = graph.kept(graph.labels[id(call.outputs[0])], keep)
        if isinstance(kind, Kernel):
            sent = _through_kernel(result, number, call, kind, constants[0], stays, number in takers)
        else:
            if isinstance(kind, Normalizing) and isinstance(call.op, keras.layers.BatchNormalization):
                _add(result.shifts, call.op.moving_mean, -constants[0], stays)
            sent = kind.carry(call, constants)
            if not kind.adds_up(call):
                sent = np.where(stays, 0, sent)
        result.sent[id(call.outputs[0])] = sent.astype("float32")
    return result


def _through_kernel(
    result: Leftovers, number: int, call: Call, kind: Kernel, constants: np.ndarray, stays: np.ndarray, takes: bool
) -> np.ndarray:
    """What the layer sends, and into its bias what it takes."""
    layer = call.op
    bias = np.zeros(len(stays)) if layer.bias is None else keras.ops.convert_to_numpy(layer.bias)
    added = kind.response(layer, constants) if takes else np.zeros(len(stays))
    if takes:
        result.taken[number] = added
        _add(result.shifts, layer.bias, added, stays)
    # A removed channel has no filter; a depthwise one goes on filtering the constant that it sees.
    left = activated(layer, (bias + added if isinstance(kind, Depthwise) else bias).astype("float32"))
    return np.where(stays, added if layer.bias is None else 0, left)


def _add(shifts: dict[int, np.ndarray], weight: keras.Variable | None, shift: np.ndarray, stays: np.ndarray) -> None:
    if weight is not None and np.any(shift[stays]):
        shifts[id(weight)] = np.where(stays, shift, 0)


def _takers(graph: ChannelGraph) -> set[int]:
    """Numbers of the calls of kernels that can take constants over, from the last to the first.

    Either the kernel has a bias, or what is added to its outputs can be taken off later on.
    """
    takers: set[int] = set()
    later = {id(tensor): False for tensor in graph.flat.outputs}
    """By tensor: whether what is added to its channels can be taken off after it."""
    for number, call in reversed(list(enumerate(graph.calls))):
        kind = kind_of(call)
        after = all(later.get(id(tensor), True) for tensor in call.outputs)
        passes = _passes(graph, call, kind, after)
        if isinstance(kind, Kernel) and _takes(graph, call, kind, after):
            takers.add(number)
            passes = not kind.pads(call.op)
        for tensor in call.inputs:
            later[id(tensor)] = later.get(id(tensor), True) and passes
    return takers


def _takes(graph: ChannelGraph, call: Call, kind: Kernel, after: bool) -> bool:
    if graph.uses[id(call.op)] > 1 or kind.response(call.op, np.zeros(call.inputs[0].shape[-1])) is None:
        return False
    if call.op.bias is None:
        return linear(call.op) and after
    return linear(call.op) or not kind.pads(call.op)


def _passes(graph: ChannelGraph, call: Call, kind: Kind, after: bool) -> bool:
    """Whether what is added to the channels of its inputs can be taken off in it or after it."""
    if isinstance(kind, Kernel):
        return False
    if isinstance(call.op, keras.layers.BatchNormalization):
        return graph.uses[id(call.op)] == 1 and isinstance(kind, Normalizing)
    return kind.adds_up(call) and after
