"""The stages of a model, from its image to its heads."""

from typing import NamedTuple

import keras

from ...core.errors import unknown
from ...core.flat_graph import FlatGraph
from ...layers import Head
from ...zoo.backbone import backbone_of, layers_of
from ...zoo.endpoints import endpoint_layers, feature_extractor
from ...zoo.flat import flatten_model
from ...zoo.registry import ON, model_card


class Stage(NamedTuple):
    """Consecutive layers of a model."""

    name: str
    """Name of the endpoint that the stage ends in, or size of its maps; `"neck"` between the last endpoint and the
    heads; or `"heads"`."""
    layers: tuple[keras.Layer, ...]
    in_backbone: bool
    """Whether the stage belongs to the backbone: not to the heads, nor to a decoder or pyramid on a backbone."""


def stages_of(model: keras.Model, features: str | None = None) -> list[Stage]:
    """Return the stages of a model, from the image on; together they have every layer once.

    The stages of a model of the zoo are named after its endpoints. Those of any other model are its layers by the size
    of their maps, such as `56x56`, at any depth of nested models.

    Args:
        model: Any model.
        features: Name of the layer where the backbone ends, as in `zoo.replace_head`.

    Raises:
        InputError: There is no such layer, or the backbone cannot be told from the head.
    """
    heads = [layer for layer in model.layers if isinstance(layer, Head)]
    endpoints = _endpoints(model)
    if not heads or not endpoints or features is not None:
        return _stages_by_size(model, features)
    backbone = _backbone_layers(model.name)
    stages, seen = [], {id(head) for head in heads}
    for name, layer in endpoints.items():
        new = [part for part in feature_extractor(model, name).layers if id(part) not in seen]
        seen.update(map(id, new))
        stages.append(Stage(name, tuple(new), backbone is None or layer in backbone))
    neck = tuple(layer for layer in model.layers if id(layer) not in seen)
    if neck:
        stages.append(Stage("neck", neck, backbone is None))
    return [*stages, Stage("heads", tuple(heads), False)]


def stages_before(stages: list[Stage], endpoint: str, model_name: str) -> list[Stage]:
    """Return the stages before the one that ends in `endpoint`.

    Raises:
        InputError: There is no such stage.
    """
    names = [stage.name for stage in stages]
    if endpoint not in names[:-1]:
        raise unknown(f"stage of {model_name}", endpoint, names[:-1])
    return stages[: names.index(endpoint)]


def _stages_by_size(model: keras.Model, features: str | None) -> list[Stage]:
    maps = all(len(tensor.shape) == 4 for tensor in model.outputs)
    graph, end, _ = backbone_of(model, features, maps=maps)
    below = {id(node.operation) for node in layers_of(graph, end)}
    parts: dict[str, list[keras.Layer]] = {}
    seen = set[int]()
    for node in FlatGraph(flatten_model(keras.Model(graph.model.input, end))).nodes:
        if node.is_layer and id(node.operation) not in seen:
            seen.add(id(node.operation))
            parts.setdefault(_size_of(node.outputs[0]), []).append(node.operation)
    above = {id(node.operation): node.operation for node in graph.nodes if node.is_layer}
    heads = tuple(layer for key, layer in above.items() if key not in below)
    return [*(Stage(name, tuple(layers), True) for name, layers in parts.items()), Stage("heads", heads, False)]


def _size_of(tensor: keras.KerasTensor) -> str:
    """Name a stage after the height and width of its maps."""
    return "x".join(str(side or "any") for side in tensor.shape[1:3]) if len(tensor.shape) == 4 else "vectors"


def _endpoints(model: keras.Model) -> dict[str, str]:
    """Return layer names by endpoint for the layers the model has; by the first endpoint if several share a layer.

    Empty for a model that is not from the zoo.
    """
    layers = {layer: name for name, layer in reversed(endpoint_layers(model).items())}
    return {name: layer for layer, name in reversed(layers.items())}


def _backbone_layers(model_name: str) -> set[str] | None:
    """Return the names of the endpoint layers of the backbone in a model's card; None if the card names no backbone."""
    name, on, other = model_name.partition(ON)
    backbone = other if on else model_card(name).backbone
    return {at.layer for at in model_card(backbone).endpoints.values()} if backbone else None
