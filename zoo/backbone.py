"""The backbone of any model: everything up to the features that its predictions are made from."""

import sys
from collections.abc import Iterator
from typing import NamedTuple

import keras

from ..core.errors import InputError, unknown
from ..core.flat_graph import FlatGraph, Node
from ..core.layer_traits import traits_of
from ..layers import Head
from .flat import flatten_model, without_optimizer

AFTER_PREDICTION = {
    *("Activation", "Softmax", "Sigmoid", "Flatten", "Reshape", "Dropout", "Identity", "Cast", "Squeeze"),
    *("GlobalAveragePooling2D", "GlobalMaxPooling2D", "UpSampling2D", "Resizing", "Cropping2D"),
}
"""Layers and operations that may follow the layer that predicts."""
OUTPUT_ACTIVATIONS = {"linear", "softmax", "sigmoid", "log_softmax"}


class Backbone(NamedTuple):
    """A model in two parts."""

    graph: FlatGraph
    """The whole model, with tensors of its own."""
    features: keras.KerasTensor
    """The tensor of the graph that the predictions are made from: a map, or a vector."""
    description: str
    """Where the features are, in words."""


def backbone_of(model: keras.Model, features: str | None = None, *, maps: bool = False) -> Backbone:
    """Return the backbone of a model.

    Args:
        model: Any model.
        features: Name of the layer whose output are the features. By default the input of the model's head of the zoo,
            or of the last layer with weights, if that makes predictions: if no hidden activation comes after it.
            Otherwise the output of the model.
        maps: Whether predictions are maps; if not, features may not be behind a convolution that makes maps.

    Raises:
        InputError: There is no such layer, the model has several outputs, or the features are neither a map nor a
            vector.
    """
    graph = FlatGraph(without_optimizer(model))
    if features is not None:
        backbone = _named(model, graph, features)
    else:
        heads = [node for node in graph.nodes if isinstance(node.operation, Head)]
        backbone = Backbone(graph, heads[0].inputs[0], "the input of its head") if heads else _found(model, graph, maps)
    if len(backbone.features.shape) not in (2, 4):
        raise InputError(
            f"{model.name}: {backbone.description} has the shape {tuple(backbone.features.shape)}; features are a map "
            "(batch, height, width, channels) or a vector (batch, values), so name another layer with features."
        )
    return backbone


def report_backbone(model: keras.Model, backbone: Backbone) -> None:
    """Say on standard error where the features are."""
    shape = "x".join(map(str, backbone.features.shape[1:]))
    print(
        f"Features of {model.name}: {backbone.description}, {shape}; for others, name a layer with features.",
        file=sys.stderr,
    )


def layers_of(graph: FlatGraph, features: keras.KerasTensor) -> Iterator[Node]:
    """Yield the layers that compute the features, from the input on."""
    producer = graph.producer(features)
    before = graph.ancestors([producer]) | {producer}
    return (node for node in graph.nodes if node in before and node.is_layer)


def _named(model: keras.Model, graph: FlatGraph, name: str) -> Backbone:
    for each in (graph, FlatGraph(flatten_model(model))):
        nodes = [node for node in each.nodes if node.name == name]
        if nodes:
            return Backbone(each, nodes[-1].outputs[0], f"the output of {name}")
    raise unknown(f"layer of {model.name}", name, [node.name for node in graph.nodes])


def _found(model: keras.Model, graph: FlatGraph, maps: bool) -> Backbone:
    if len(graph.outputs) != 1:
        raise InputError(f"{model.name} has {len(graph.outputs)} outputs; name a layer with features.")
    (output,) = graph.outputs
    before = graph.ancestors(graph.output_nodes) | set(graph.output_nodes)
    weighted = [node for node in graph.nodes if node in before and node.is_layer and node.operation.weights]
    if not weighted:
        raise InputError(f"{model.name} has no layers with weights, so there is no backbone.")
    last = weighted[-1]
    if isinstance(last.operation, keras.Model):
        flat = FlatGraph(flatten_model(model))
        if len(flat.nodes) > len(graph.nodes):
            return _found(model, flat, maps)
    is_map = len(output.shape) == 4
    if _predicts(last) and (maps or not is_map) and all(map(_may_follow, graph.descendants([last]))):
        return Backbone(graph, last.inputs[0], f"the input of {last.name}")
    return Backbone(graph, output, "its output")


def _predicts(node: Node) -> bool:
    return bool(traits_of(node.operation).kernels) and _activation(node) in OUTPUT_ACTIVATIONS


def _may_follow(node: Node) -> bool:
    return type(node.operation).__name__ in AFTER_PREDICTION and _activation(node) in OUTPUT_ACTIVATIONS


def _activation(node: Node) -> str:
    return getattr(getattr(node.operation, "activation", None), "__name__", "linear")
