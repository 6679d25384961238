"""From a card to the graph of its features."""

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import keras

from ..core.errors import InputError, unknown
from ..tasks.registry import get_task
from .cards import ModelCard
from .registry import ON, backbones, model_card
from .strides import measure_grids


class FeatureBuilder:
    """The functions that build a card's features, and the arguments that they get.

    Besides the arguments of its builder and its neck, a card that stands on a backbone takes `backbone`, the name of
    any other classifier of the zoo, and `backbone_arguments`, a dict for that one's builder.

    Raises:
        InputError: An override is none of these, or there is no such backbone.
    """

    def __init__(self, card: ModelCard, overrides: Mapping[str, Any] | None = None):
        self.overrides = overrides = dict(overrides or {})
        self.card = card
        self.builder = _function(card.builder)
        self.neck = _function(card.neck) if card.neck else None
        own = _keywords(self.builder) | (_keywords(self.neck) if self.neck else set())
        of_backbone = {"backbone", "backbone_arguments"} if card.backbone else set()
        allowed = sorted(own | of_backbone | {"dropout"})  # the head's, if no other
        for key, value in overrides.items():
            if key not in allowed:
                raise unknown(f"argument of {card.name}", key, allowed)
            if any(isinstance(number, int | float) and number < 0 for number in keras.tree.flatten(value)):
                raise InputError(f"{card.name}: {key} is {value!r}; numbers below 0 are not taken.")
        self.backbone = self._backbone(**{key: overrides[key] for key in of_backbone & overrides.keys()})
        self.arguments = card.arguments | {key: value for key, value in overrides.items() if key not in of_backbone}

    def _backbone(
        self, *, backbone: str | None = None, backbone_arguments: Mapping[str, Any] | None = None
    ) -> "FeatureBuilder | None":
        if self.card.backbone is None:
            return None
        another = backbone not in (None, self.card.backbone)
        arguments = {} if another else self.card.backbone_arguments
        name = backbone if another else self.card.backbone
        if name not in backbones():
            raise unknown(f"backbone for {self.card.name}", name, backbones())
        if not isinstance(backbone_arguments, Mapping | None):
            raise InputError(f"{self.card.name}: backbone_arguments is {backbone_arguments!r}; it takes a dict.")
        return FeatureBuilder(model_card(name), arguments | dict(backbone_arguments or {}))

    @property
    def name(self) -> str:
        """The card's, and where its backbone was exchanged that one's after it; `registry.card_of` reads it."""
        another = self.backbone and self.backbone.card.name != self.card.backbone
        return f"{self.card.name}{ON}{self.backbone.card.name}" if another else self.card.name

    def features(self, image: keras.KerasTensor, pixels: keras.KerasTensor) -> keras.KerasTensor:
        """What a head takes: a map `(batch, height, width, channels)`, or a vector where the card has a neck."""
        features = self.feature_map(image, pixels)
        return self.neck(features, **self._own(self.neck)) if self.neck else features

    def feature_map(self, image: keras.KerasTensor, pixels: keras.KerasTensor) -> keras.KerasTensor:
        """The map before any neck.

        Args:
            image: The model's input.
            pixels: The same, normalised.
        """
        source = self._backbone_maps(image, pixels) if self.backbone else pixels
        self._map = self.builder(source, **self._own(self.builder))
        return self._map

    def trunk(self, image: keras.KerasTensor) -> set[str]:
        """Names of the layers between `image` and the map before any neck, once that was made."""
        return {layer.name for layer in keras.Model(image, self._map).layers}

    def _backbone_maps(self, image: keras.KerasTensor, pixels: keras.KerasTensor) -> dict[int, keras.KerasTensor]:
        """From stride to the backbone's deepest map of that stride."""
        network = keras.Model(image, self.backbone.feature_map(image, pixels))
        names = {layer.name for layer in network.layers}
        # This card's endpoints, since it may start before the backbone's end; an exchanged backbone's own.
        card = self.card if self.backbone.card.name == self.card.backbone else self.backbone.card
        places = {name: at.layer for name, at in card.endpoints.items() if at.layer in names}
        maps = {name: network.get_layer(layer).output for name, layer in places.items()}
        grids = measure_grids(image, maps)
        if get_task(self.card.task).covers_image and not all(grid.covers for grid in grids.values()):
            raise ValueError(
                f"the convolutions of {self.backbone.card.name} are not padded; an answer for every pixel takes a "
                "backbone whose are."
            )
        return {grids[name].stride: map_ for name, map_ in maps.items()}

    def _own(self, function: Callable) -> dict[str, Any]:
        keywords = _keywords(function)
        return {key: value for key, value in self.arguments.items() if key in keywords}


def _keywords(function: Callable) -> set[str]:
    """The names that may be overridden: the keyword-only arguments."""
    parameters = inspect.signature(function).parameters.values()
    return {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}


def _function(reference: str) -> Callable[..., keras.KerasTensor]:
    module, function = reference.split(":")
    return getattr(import_module(f".{module}", __package__), function)
