"""From a card to the graph of its features."""

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import keras

from .cards import ModelCard
from .errors import unknown
from .registry import model_card


class Blueprint:
    """The functions that build a card's features, and the arguments that they get.

    Besides the arguments of its builder and its neck, a card that stands on a backbone takes `backbone`, the name of
    any other classifier of the zoo, and `backbone_arguments`, a dict for that one's builder.

    Raises:
        InputError: An override is none of these, or there is no such backbone.
    """

    def __init__(self, card: ModelCard, overrides: Mapping[str, Any] | None = None):
        overrides = dict(overrides or {})
        self.card = card
        self.builder = _function(card.builder)
        self.neck = _function(card.neck) if card.neck else None
        own = _keywords(self.builder) | (_keywords(self.neck) if self.neck else set())
        of_backbone = {"backbone", "backbone_arguments"} if card.backbone else set()
        for key in overrides:
            if key not in own | of_backbone:
                raise unknown(f"argument of {card.name}", key, sorted(own | of_backbone))
        self.backbone = self._backbone(**{key: overrides.pop(key) for key in of_backbone & overrides.keys()})
        self.arguments = card.arguments | overrides

    def _backbone(
        self, *, backbone: str | None = None, backbone_arguments: Mapping[str, Any] | None = None
    ) -> "Blueprint | None":
        if self.card.backbone is None:
            return None
        another = backbone not in (None, self.card.backbone)
        arguments = {} if another else self.card.backbone_arguments
        return Blueprint(
            model_card(backbone if another else self.card.backbone), arguments | dict(backbone_arguments or {})
        )

    @property
    def stride(self) -> int:
        """Image pixels for each step of the map: the card's, or where that is its backbone's, that of another one."""
        deepest = max(endpoint.stride for endpoint in self.card.endpoints.values())
        if self.backbone is None or self.backbone.card.name == self.card.backbone or self.card.stride < deepest:
            return self.card.stride
        return max(endpoint.stride for endpoint in self.backbone.card.endpoints.values())

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
        return self.builder(source, **self._own(self.builder))

    def _backbone_maps(self, image: keras.KerasTensor, pixels: keras.KerasTensor) -> dict[int, keras.KerasTensor]:
        """From stride to the backbone's deepest map of that stride."""
        network = keras.Model(image, self.backbone.feature_map(image, pixels))
        names = {layer.name for layer in network.layers}
        # Endpoints are this card's, since a dilated backbone's strides are not those of its own card.
        card = self.card if self.backbone.card.name == self.card.backbone else self.backbone.card
        return {
            endpoint.stride: network.get_layer(endpoint.layer).output
            for endpoint in card.endpoints.values()
            if endpoint.layer in names
        }

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
