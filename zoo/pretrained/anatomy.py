"""What a model's weights are: the layers that have some, and what surrounds them."""

import math
from dataclasses import dataclass

import keras

from ...core.flat_graph import FlatGraph
from ..flat import flatten_model

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Part:
    """A layer of the flat form that has weights."""

    name: str
    layer: keras.layers.Layer
    follows: str | None
    """Name of the layer with weights whose output it takes straight away."""
    flattened: Shape | None = None
    """Of a dense layer: height, width and channels of the map that was flattened for it."""

    @property
    def shapes(self) -> dict[str, Shape]:
        """Shapes by the weights' names, such as `kernel`."""
        return {weight.name: tuple(weight.shape) for weight in self.layer.weights}

    @property
    def is_norm(self) -> bool:
        """Whether it is a BatchNorm."""
        return isinstance(self.layer, keras.layers.BatchNormalization)


def anatomy(model: keras.Model) -> dict[str, Part]:
    """The parts of `model` by name, in the order of its flat form's layers, without its pixel normalization."""
    graph = FlatGraph(flatten_model(model))
    parts: dict[str, Part] = {}
    flat_maps: list[Shape] = []
    for node in graph.nodes:
        layer = node.operation
        if node.is_layer and layer.weights:
            before = graph.producer(node.inputs[0]).operation
            follows = before.name if getattr(before, "weights", None) else None
            parts.setdefault(layer.name, Part(layer.name, layer, follows, _flattened(layer, flat_maps)))
        elif isinstance(layer, keras.layers.Flatten):
            flat_maps.append(tuple(node.inputs[0].shape[1:]))
    return {layer.name: parts[layer.name] for layer in graph.model.layers if layer.name in parts}


def _flattened(layer: keras.layers.Layer, maps: list[Shape]) -> Shape | None:
    if not isinstance(layer, keras.layers.Dense):
        return None
    return next((shape for shape in maps if math.prod(shape) == layer.kernel.shape[0]), None)


def named_weights(model: keras.Model) -> dict[str, keras.Variable]:
    """All weights as `layer/variable`, such as `stem_conv/kernel`: names that are unique in the model, and stable."""
    return {"/".join(weight.path.split("/")[-2:]): weight for weight in model.weights}
