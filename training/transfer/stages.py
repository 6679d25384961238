"""A model in stages, from its image to its heads."""

from typing import NamedTuple

import keras

from ...core.errors import InputError, unknown
from ...layers import Head
from ...zoo.endpoints import feature_extractor
from ...zoo.registry import ON, card_of, model_card


class Stage(NamedTuple):
    """Layers between two places of a model."""

    name: str
    """The endpoint that it ends in; `"neck"` for what is between the last endpoint and the heads; or `"heads"`."""
    layers: tuple[keras.Layer, ...]
    in_backbone: bool
    """Whether it is a part of what is pretrained: not of the heads, nor of what a card adds to another one's net."""


def stages_of(model: keras.Model) -> list[Stage]:
    """The stages of a model of the zoo, from the image on; together they have every layer once.

    Raises:
        InputError: It is none of the zoo, is written out flat, or has no head.
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
    """The stages of which none is that of `endpoint` or comes after it.

    Raises:
        InputError: There is no such endpoint, or as of `stages_of`.
    """
    stages = stages_of(model)
    names = [stage.name for stage in stages]
    if endpoint not in names[:-1]:
        raise unknown(f"stage of {model.name}", endpoint, names[:-1])
    return stages[: names.index(endpoint)]


def _endpoints(model: keras.Model) -> dict[str, str]:
    """The layers by the name of the endpoint, as far as the model has them; the first name where two are one layer."""
    present = {layer.name for layer in model.layers}
    layers = {at.layer: name for name, at in reversed(card_of(model.name).endpoints.items()) if at.layer in present}
    return {name: layer for layer, name in reversed(layers.items())}


def _backbone_layers(model_name: str) -> set[str] | None:
    """Names of the layers at the endpoints of the net that a model's card stands on; None if it stands on none."""
    name, on, other = model_name.partition(ON)
    backbone = other if on else model_card(name).backbone
    return {at.layer for at in model_card(backbone).endpoints.values()} if backbone else None
