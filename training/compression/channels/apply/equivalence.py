"""Whether a rebuilt model computes what the original does without the removed channels."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras.src.ops.node import Node

from .....zoo.flat import flatten_model
from ...nodes import nodes_in_order
from ..graph.channel_graph import Call, ChannelGraph
from ..graph.kernel_rules import Depthwise, Kernel
from ..graph.rule_table import KINDS, kind_of
from .bias_compensation import Leftovers, leftovers
from .rebuild import Rebuilt, fill

BAR = 1e-5
"""Largest difference that a rebuilt model may have from the masked original, as a share of the largest answer."""
IMAGES = 2
OPEN_SIDE = 64
"""Pixels a side where the model leaves it open."""


class ProofError(RuntimeError):
    """A rebuilt model computes something else: an error of ours, never of the user's."""


def prove_with_other_norms(graph: ChannelGraph, keep: np.ndarray, rebuilt: Rebuilt) -> float:
    """As `prove`, with BatchNorms in which no two channels are alike; afterwards all weights are as before.

    Those of a fresh net are the same in every channel, and would hide channels that were mixed up.
    """
    with _other_norms(graph.flat):
        left = leftovers(graph, keep)
        fill(rebuilt, graph, keep, left)
        difference = prove(graph, keep, left, rebuilt.model)
    fill(rebuilt, graph, keep, leftovers(graph, keep))
    return difference


def prove(graph: ChannelGraph, keep: np.ndarray, left: Leftovers, rebuilt: keras.Model) -> float:
    """The largest difference between the masked original and `rebuilt` on noise, as a share of the largest answer.

    Answers are compared before their last activation: a softmax that is sure of one class would hide differences. The
    original is run layer by layer with its own weights. Wherever a removed channel is seen it is replaced by the
    constant that it sends without its filter, around the map too; where no layer takes that constant over, by zero.

    Raises:
        ProofError: It is more than `BAR`.
    """
    images, flat = _noise(graph.flat), flatten_model(rebuilt)
    with _linear_answers(graph.flat), _linear_answers(flat):
        values = _run_masked(graph, keep, left, images)
        answers = keras.Model(flat.inputs, _before_activations(flat))(images, training=False)
    masked = [values[id(tensor)] for tensor in _before_activations(graph.flat)]
    difference = max(map(_difference, masked, keras.tree.flatten(answers)))
    if not difference <= BAR:
        raise ProofError(
            f"{graph.model.name}: the rebuilt model differs by {difference:.1e} from the original with those channels "
            f"masked; the bar is {BAR:.0e}."
        )
    return difference


@contextmanager
def _other_norms(flat: keras.Model) -> Iterator[None]:
    """While the block runs, every number of the BatchNorms is another, by a fifth at most."""
    random = np.random.default_rng(0)
    norms = [layer for layer in flat.layers if isinstance(layer, keras.layers.BatchNormalization)]
    before = [(weight, keras.ops.convert_to_numpy(weight)) for norm in norms for weight in norm.weights]
    try:
        for norm in norms:
            deviation = np.sqrt(keras.ops.convert_to_numpy(norm.moving_variance))
            for weight in norm.weights:
                size = deviation if weight is norm.moving_mean else np.abs(keras.ops.convert_to_numpy(weight))
                size = size if weight is not norm.beta else np.maximum(size, 0.1)
                weight.assign_add(random.uniform(-0.2, 0.2, weight.shape) * size)
        yield
    finally:
        for weight, value in before:
            weight.assign(value)


def _answering(flat: keras.Model) -> list[Node]:
    """The nodes that give the model's outputs, in their order."""
    by_output = {id(tensor): node for node in nodes_in_order(flat) for tensor in node.outputs}
    return [by_output[id(tensor)] for tensor in flat.outputs]


def _before_activations(flat: keras.Model) -> list[keras.KerasTensor]:
    """The outputs, or what goes into the activation layers that give them."""
    pairs = zip(flat.outputs, _answering(flat), strict=True)
    activations = keras.layers.Activation | keras.layers.Softmax
    return [node.input_tensors[0] if isinstance(node.operation, activations) else output for output, node in pairs]


@contextmanager
def _linear_answers(flat: keras.Model) -> Iterator[None]:
    """While the block runs, layers with a kernel that give an output have no activation of their own."""
    layers = [node.operation for node in _answering(flat) if isinstance(KINDS.get(type(node.operation)), Kernel)]
    before = [(layer, layer.activation) for layer in layers]
    try:
        for layer in layers:
            layer.activation = keras.activations.linear
        yield
    finally:
        for layer, activation in before:
            layer.activation = activation


def _noise(flat: keras.Model) -> list[Any]:
    random = np.random.default_rng(0)
    shapes = [[IMAGES, *(OPEN_SIDE if side is None else side for side in tensor.shape[1:])] for tensor in flat.inputs]
    return [keras.ops.convert_to_tensor(random.uniform(0, 255, shape).astype("float32")) for shape in shapes]


def _run_masked(graph: ChannelGraph, keep: np.ndarray, left: Leftovers, images: list[Any]) -> dict[int, Any]:
    """What every tensor of the original is, by identity."""
    values = {id(tensor): image for tensor, image in zip(graph.flat.inputs, images, strict=True)}
    for number, call in enumerate(graph.calls):
        answer = _apply_masked(graph, keep, left, number, call, values)
        for tensor, value in zip(call.outputs, keras.tree.flatten(answer), strict=True):
            values[id(tensor)] = value
    return values


def _apply_masked(
    graph: ChannelGraph, keep: np.ndarray, left: Leftovers, number: int, call: Call, values: dict[int, Any]
) -> Any:
    """One layer on its inputs with the removed channels at their constants."""
    kind = kind_of(call)
    mixes = isinstance(kind, Kernel) and not isinstance(kind, Depthwise)
    pads = mixes and kind.pads(call.op)
    taken = number in left.taken
    seen = dict(values)
    for tensor in call.inputs:
        stays = graph.kept(graph.labels[id(tensor)], keep)
        if stays.all():
            continue
        # Around the map of a padded layer there would be zeros: what it sees of the constants is added below.
        constants = left.sent[id(tensor)] if not mixes or (taken and not pads) else np.zeros(len(stays), "float32")
        seen[id(tensor)] = keras.ops.where(stays, values[id(tensor)], constants)
    answer = call.apply(seen)
    if taken and pads:
        removed = np.where(graph.kept(graph.labels[id(call.inputs[0])], keep), 0, left.sent[id(call.inputs[0])])
        answer = answer + kind.response(call.op, removed)
    return answer


def _difference(one: Any, other: Any) -> float:
    one, other = (keras.ops.convert_to_numpy(answers).astype("float64") for answers in (one, other))
    return float(np.abs(one - other).max() / max(np.abs(one).max(), np.finfo("float64").tiny))
