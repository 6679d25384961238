"""Construction of the feature graph of a card: backbone, decoder and neck."""

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import keras

from ..core.errors import InputError, unknown
from ..layers.dimensions import spatial_dimensions
from ..tasks.registry import get_task
from .cards import ModelCard
from .registry import ON, backbones, model_card
from .strides import measure_grids


class FeatureBuilder:
    """The functions that build the features of a card, with their arguments.

    Args:
        card: Card of the model.
        overrides: Arguments of the card's builder and neck. For a card with a backbone also `backbone`, the name of
            any other classifier in the zoo, and `backbone_arguments`, a dict of arguments for its builder.

    Raises:
        InputError: An override is none of these or has a negative value, or there is no such backbone.
    """

    def __init__(self, card: ModelCard, overrides: Mapping[str, Any] | None = None) -> None:
        self.overrides = overrides = dict(overrides or {})
        self.card = card
        self.builder = _function(card.builder)
        self.neck = _function(card.neck) if card.neck else None
        own = _keywords(self.builder) | (_keywords(self.neck) if self.neck else set())
        of_backbone = {"backbone", "backbone_arguments"} if card.backbone else set()
        allowed = sorted(own | of_backbone | {"dropout"})  # every head has dropout
        for key, value in overrides.items():
            if key not in allowed:
                raise unknown(f"argument of {card.name}", key, allowed)
            if any(isinstance(number, int | float) and number < 0 for number in keras.tree.flatten(value)):
                raise InputError(f"{card.name}: {key} is {value!r}; negative numbers are not allowed.")
        self.backbone = self._backbone(**{key: overrides[key] for key in of_backbone & overrides.keys()})
        self.arguments = card.arguments | {key: value for key, value in overrides.items() if key not in of_backbone}

    def _backbone(
        self, *, backbone: str | None = None, backbone_arguments: Mapping[str, Any] | None = None
    ) -> "FeatureBuilder | None":
        if self.card.backbone is None:
            return None
        name = self.card.backbone if backbone is None else backbone
        arguments = self.card.backbone_arguments if name == self.card.backbone else {}
        if name not in backbones():
            raise unknown(f"backbone for {self.card.name}", name, backbones(), listed_by="`pocketzoo list`")
        if not isinstance(backbone_arguments, Mapping | None):
            raise InputError(f"{self.card.name}: backbone_arguments is {backbone_arguments!r}; it must be a dict.")
        return FeatureBuilder(model_card(name), arguments | dict(backbone_arguments or {}))

    @property
    def name(self) -> str:
        """Name of the model: the card's, followed by that of a replaced backbone; `registry.card_of` parses it."""
        if self.backbone is None or self.backbone.card.name == self.card.backbone:
            return self.card.name
        return f"{self.card.name}{ON}{self.backbone.card.name}"

    def features(self, image: keras.KerasTensor, pixels: keras.KerasTensor) -> Any:
        """Build the head's input: a map `(batch, height, width, channels)`, a list of the maps of a pyramid, the
        deepest first, or a vector if the card has a neck."""
        features = self.feature_map(image, pixels)
        with spatial_dimensions(len(image.shape) - 2):
            return self.neck(features, **self._arguments_of(self.neck)) if self.neck else features

    def feature_map(self, image: keras.KerasTensor, pixels: keras.KerasTensor) -> Any:
        """Build the feature map before the neck, or those of a pyramid.

        Args:
            image: The model's input.
            pixels: The normalized input.
        """
        source = self._backbone_maps(self.backbone, image, pixels) if self.backbone else pixels
        with spatial_dimensions(len(image.shape) - 2):
            self._map = self.builder(source, **self._arguments_of(self.builder))
        return self._map

    def trunk(self, image: keras.KerasTensor) -> set[str]:
        """Return the names of the layers between `image` and the feature map, which must have been built."""
        return {layer.name for layer in keras.Model(image, self._map).layers}

    def _backbone_maps(
        self, backbone: "FeatureBuilder", image: keras.KerasTensor, pixels: keras.KerasTensor
    ) -> dict[int, keras.KerasTensor]:
        """Build the backbone and return its deepest feature map of each stride, by stride."""
        network = keras.Model(image, backbone.feature_map(image, pixels))
        names = {layer.name for layer in network.layers}
        # The endpoints on this card, which may not use the whole backbone; those of a replaced backbone on its own.
        card = self.card if backbone.card.name == self.card.backbone else backbone.card
        layers = {name: at.layer for name, at in card.endpoints.items() if at.layer in names}
        maps = {name: network.get_layer(layer).output for name, layer in layers.items()}
        grids = measure_grids(image, maps)
        if get_task(self.card.task).covers_image and not all(grid.covers for grid in grids.values()):
            raise ValueError(
                f"the convolutions of {backbone.card.name} are not padded; a prediction for every pixel needs a "
                "backbone with padded convolutions."
            )
        return {grids[name].stride: map_ for name, map_ in maps.items()}

    def _arguments_of(self, function: Callable[..., Any]) -> dict[str, Any]:
        keywords = _keywords(function)
        return {key: value for key, value in self.arguments.items() if key in keywords}


def _keywords(function: Callable[..., Any]) -> set[str]:
    """Return the names that may be overridden: the keyword-only arguments."""
    parameters = inspect.signature(function).parameters.values()
    return {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}


def _function(reference: str) -> Callable[..., Any]:
    """Import the function that a card refers to as `module:function`."""
    module, name = reference.split(":")
    function: Callable[..., Any] = getattr(import_module(f".{module}", __package__), name)
    return function
