"""What an integer file takes on a microcontroller at least, known from the layers of a model before it is converted."""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import keras
from keras import KerasTensor

from ..core.flat_graph import FlatGraph, Node
from ..core.layer_traits import traits_of
from .formats import Format

if TYPE_CHECKING:
    from .conversion.export_graph import ExportGraph

MOST_LAYERS = 3
"""Layers that are named as the largest."""
MERGES = (keras.layers.Add, keras.layers.Concatenate, keras.layers.Multiply)
"""Layers that need their inputs and their output at the same time, and are an operator of their own in any file."""


class LeastCost(NamedTuple):
    """A lower bound in bytes."""

    bytes: int
    basis: str
    """What it consists of, and the layers with most of it."""


def least_flash(graph: "ExportGraph") -> LeastCost:
    """Return the bytes of the kernels with 8 bits per weight; what is stored with them comes on top."""
    sizes = {
        layer.name: sum(math.prod(weight.shape) for weight in layer.weights if len(weight.shape) > 1)
        for layer in graph.flat.layers
    }
    return LeastCost(graph.kernel_weights, f"the weights alone, most of them in {_largest(sizes)}")


def least_arena(graph: "ExportGraph", integers: Format) -> LeastCost:
    """Return the bytes of the inputs and the output of the layer for which they are the most.

    An interpreter that computes layer by layer, as TensorFlow Lite Micro, holds them at the same time.

    Args:
        graph: The model; with a fixed size.
        integers: The format, with activations of 8 or 16 bits.
    """
    flat, activation_bytes = FlatGraph(graph.flat), (integers.activation_bits or 8) // 8
    sizes = {node.name: activation_bytes * _values(flat, node) for node in flat.nodes if _is_one_operator(node)}
    return LeastCost(max(sizes.values(), default=0), f"inputs and output of one layer, the most in {_largest(sizes)}")


def _is_one_operator(node: Node) -> bool:
    return len(traits_of(node.operation).kernels) == 1 or isinstance(node.operation, MERGES)


def _values(flat: FlatGraph, node: Node) -> int:
    """Values of the inputs, without what a converter may leave to the operator itself, and of the outputs."""
    inputs = dict.fromkeys(_before_padding(flat, tensor) for tensor in node.inputs)
    return _count(inputs) + _count(node.outputs)


def _before_padding(flat: FlatGraph, tensor: KerasTensor) -> KerasTensor:
    producer = flat.producer(tensor)
    return producer.inputs[0] if isinstance(producer.operation, keras.layers.ZeroPadding2D) else tensor


def _count(tensors: Iterable[KerasTensor]) -> int:
    return sum(math.prod(tensor.shape[1:]) for tensor in tensors)


def _largest(sizes: dict[str, int]) -> str:
    """The largest layers with their bytes, such as `fc6_dense (38,535,168) and conv5_conv (884,736)`."""
    names = sorted(sizes, key=lambda name: -sizes[name])[:MOST_LAYERS]
    return " and ".join(f"{name} ({sizes[name]:,})" for name in names if sizes[name]) or "no layer"
