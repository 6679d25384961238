"""From a card to the graph of its features."""

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any

import keras

from .cards import ModelCard
from .errors import unknown
from .registry import model_card


class Blueprint:
    """The functions that build a card's features, and the arguments that they get.

    Raises:
        InputError: An override is none of their arguments.
    """

    def __init__(self, card: ModelCard, overrides: dict[str, Any] | None = None):
        self.card = card
        self.builder = _function(card.builder)
        self.neck = _function(card.neck) if card.neck else None
        allowed = self._keywords(self.builder) | (self._keywords(self.neck) if self.neck else {})
        for key in overrides or {}:
            if key not in allowed:
                raise unknown(f"argument of {card.name}", key, allowed)
        self.arguments = card.arguments | (overrides or {})

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
        source = self._backbone_maps(image, pixels) if self.card.backbone else pixels
        return self.builder(source, **self._own(self.builder))

    def _backbone_maps(self, image: keras.KerasTensor, pixels: keras.KerasTensor) -> dict[int, keras.KerasTensor]:
        # The endpoints are those of this card: a dilated backbone's strides are not those of its own card.
        backbone = Blueprint(model_card(self.card.backbone), self.card.backbone_arguments)
        network = keras.Model(image, backbone.feature_map(image, pixels))
        names = {layer.name for layer in network.layers}
        return {
            endpoint.stride: network.get_layer(endpoint.layer).output
            for endpoint in self.card.endpoints.values()
            if endpoint.layer in names
        }

    def _own(self, function: Callable) -> dict[str, Any]:
        keywords = self._keywords(function)
        return {key: value for key, value in self.arguments.items() if key in keywords}

    @staticmethod
    def _keywords(function: Callable) -> dict[str, inspect.Parameter]:
        parameters = inspect.signature(function).parameters
        return {name: parameter for name, parameter in parameters.items() if parameter.kind is parameter.KEYWORD_ONLY}


def _function(reference: str) -> Callable[..., keras.KerasTensor]:
    module, function = reference.split(":")
    return getattr(import_module(f".{module}", __package__), function)
