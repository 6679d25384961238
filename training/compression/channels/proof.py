"""Whether a rebuilt model computes what the original does without the removed channels."""

from typing import Any

import keras
import numpy as np

from .graph import Call, ChannelGraph
from .kernels import Depthwise, Kernel
from .known import kind_of
from .leftovers import Leftovers

BAR = 1e-5
"""Largest difference that a rebuilt model may have from the masked original, as a share of the largest answer."""
IMAGES = 2
OPEN_SIDE = 64
"""Pixels a side where the model leaves it open."""


class ProofError(RuntimeError):
    """A rebuilt model computes something else: an error of ours, never of the user's."""


def prove(graph: ChannelGraph, keep: np.ndarray, left: Leftovers, rebuilt: keras.Model) -> float:
    """The largest difference between the masked original and `rebuilt` on noise, as a share of the largest answer.

    The original is run layer by layer with its own weights. Wherever a removed channel is seen it is replaced by the
    constant that it sends without its filter, around the map too; where no layer takes that constant over, by zero.

    Raises:
        ProofError: It is more than `BAR`.
    """
    images = _noise(graph.flat)
    masked = _run_masked(graph, keep, left, images)
    answers = keras.tree.flatten(rebuilt(keras.tree.pack_sequence_as(rebuilt.input, images), training=False))
    difference = max(map(_difference, masked, answers))
    if not difference <= BAR:
        raise ProofError(
            f"{graph.model.name}: the rebuilt model differs by {difference:.1e} from the original with those channels "
            f"masked; the bar is {BAR:.0e}."
        )
    return difference


def _noise(flat: keras.Model) -> list[Any]:
    random = np.random.default_rng(0)
    shapes = [[IMAGES, *(OPEN_SIDE if side is None else side for side in tensor.shape[1:])] for tensor in flat.inputs]
    return [keras.ops.convert_to_tensor(random.uniform(0, 255, shape).astype("float32")) for shape in shapes]


def _run_masked(graph: ChannelGraph, keep: np.ndarray, left: Leftovers, images: list[Any]) -> list[Any]:
    values = {id(tensor): image for tensor, image in zip(graph.flat.inputs, images, strict=True)}
    for number, call in enumerate(graph.calls):
        answer = _apply_masked(graph, keep, left, number, call, values)
        for tensor, value in zip(call.outputs, keras.tree.flatten(answer), strict=True):
            values[id(tensor)] = value
    return [values[id(tensor)] for tensor in graph.flat.outputs]


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
