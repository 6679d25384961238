"""The layers of a model that have weights, and what surrounds them."""

import math
from dataclasses import dataclass

import keras

from ...core.flat_graph import FlatGraph
from ..flat import flatten_model

Shape = tuple[int, ...]


@dataclass(frozen=True)
class WeightedLayer:
    """A layer of the flat form that has weights."""

    name: str
    layer: keras.layers.Layer
    follows: str | None
    """Name of the layer with weights whose output is its direct input."""
    flattened: Shape | None = None
    """Height, width and channels of the map that was flattened for a dense layer."""

    @property
    def shapes(self) -> dict[str, Shape]:
        """Shapes by the names of the weights, such as `kernel`."""
        return {weight.name: tuple(weight.shape) for weight in self.layer.weights}

    @property
    def is_norm(self) -> bool:
        """Whether it is a BatchNorm."""
        return isinstance(self.layer, keras.layers.BatchNormalization)


def weighted_layers(model: keras.Model) -> dict[str, WeightedLayer]:
    """Return the layers with weights by name, in the order of the flat form, without the pixel normalization."""
    graph = FlatGraph(flatten_model(model))
    found: dict[str, WeightedLayer] = {}
    flat_maps: list[Shape] = []
    for node in graph.nodes:
        layer = node.operation
        if node.is_layer and layer.weights:
            before = graph.producer(node.inputs[0]).operation
            follows = before.name if getattr(before, "weights", None) else None
            found.setdefault(layer.name, WeightedLayer(layer.name, layer, follows, _flattened(layer, flat_maps)))
        elif isinstance(layer, keras.layers.Flatten):
            flat_maps.append(tuple(node.inputs[0].shape[1:]))
    return {layer.name: found[layer.name] for layer in graph.model.layers if layer.name in found}


def _flattened(layer: keras.layers.Layer, maps: list[Shape]) -> Shape | None:
    if not isinstance(layer, keras.layers.Dense):
        return None
    return next((shape for shape in maps if math.prod(shape) == layer.kernel.shape[0]), None)


def named_weights(model: keras.Model) -> dict[str, keras.Variable]:
    """Return all weights by `layer/variable`, such as `stem_conv/kernel`: unique names that do not change."""
    return {"/".join(weight.path.split("/")[-2:]): weight for weight in model.weights}
