"""The stages of a model, from its image to its heads."""

from typing import NamedTuple

import keras

from ...core.errors import InputError, unknown
from ...layers import Head
from ...zoo.endpoints import feature_extractor
from ...zoo.registry import ON, card_of, model_card


class Stage(NamedTuple):
    """Consecutive layers of a model."""

    name: str
    """Name of the endpoint that the stage ends in; `"neck"` between the last endpoint and the heads; or `"heads"`."""
    layers: tuple[keras.Layer, ...]
    in_backbone: bool
    """Whether the stage belongs to the backbone: not to the heads, nor to a decoder or pyramid on a backbone."""


def stages_of(model: keras.Model) -> list[Stage]:
    """Return the stages of a model of the zoo, from the image on; together they have every layer once.

    Raises:
        InputError: The model is not from the zoo, is flattened, or has no head of the zoo.
    """
    heads = [layer for layer in model.layers if isinstance(layer, Head)]
    if not heads:
        raise InputError(f"{model.name} has no head of the zoo; zoo.create_model and zoo.replace_head make one.")
    backbone = _backbone_layers(model.name)
    stages, seen = [], {id(head) for head in heads}
    for name, layer in _endpoints(model).items():
        new = [part for part in feature_extractor(model, name).layers if id(part) not in seen]
        seen.update(map(id, new))
        stages.append(Stage(name, tuple(new), backbone is None or layer in backbone))
    neck = tuple(layer for layer in model.layers if id(layer) not in seen)
    if neck:
        stages.append(Stage("neck", neck, backbone is None))
    return [*stages, Stage("heads", tuple(heads), False)]


def stages_before(model: keras.Model, endpoint: str) -> list[Stage]:
    """Return the stages before the one that ends in `endpoint`.

    Raises:
        InputError: There is no such endpoint, or as in `stages_of`.
    """
    stages = stages_of(model)
    names = [stage.name for stage in stages]
    if endpoint not in names[:-1]:
        raise unknown(f"stage of {model.name}", endpoint, names[:-1])
    return stages[: names.index(endpoint)]


def _endpoints(model: keras.Model) -> dict[str, str]:
    """Return layer names by endpoint for the layers the model has; by the first endpoint if several share a layer."""
    present = {layer.name for layer in model.layers}
    layers = {at.layer: name for name, at in reversed(card_of(model.name).endpoints.items()) if at.layer in present}
    return {name: layer for layer, name in reversed(layers.items())}


def _backbone_layers(model_name: str) -> set[str] | None:
    """Return the names of the endpoint layers of the backbone in a model's card; None if the card names no backbone."""
    name, on, other = model_name.partition(ON)
    backbone = other if on else model_card(name).backbone
    return {at.layer for at in model_card(backbone).endpoints.values()} if backbone else None
