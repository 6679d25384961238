"""Layer settings that training changes temporarily: the compute precision, dropout rates, what is trainable."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import keras

from ...core.errors import InputError
from ...core.keras_private import all_layers
from ..recipe.recipe import Recipe
from .precision import castable_layers

OriginalSettings = Callable[[], AbstractContextManager[None]]
"""Returns a context manager under which a model has the settings it had before training, for saving it meanwhile."""


@contextmanager
def preserve_settings(attributes: Iterable[tuple[keras.Layer, str]]) -> Iterator[OriginalSettings]:
    """Restore attributes of layers at the end of the block.

    Args:
        attributes: Layers and names of attributes. Parents come before the layers inside them, because Keras passes
            some attributes on to nested layers when they are set, `trainable` for one.

    Yields:
        A function that returns a context manager under which the attributes have their original values.
    """
    original = [(layer, name, getattr(layer, name)) for layer, name in attributes]
    try:
        yield lambda: _temporarily(original)
    finally:
        _assign(original)


@contextmanager
def training_settings(model: keras.Model, recipe: Recipe) -> Iterator[OriginalSettings]:
    """Give `model` the precision and the dropout rate of `recipe` inside the block.

    Weights stay float32 in any precision. Compile the network inside the block and use it only there: a function
    traced inside keeps the precision it was traced with.

    Args:
        model: The model of the run.
        recipe: Its `precision`, already resolved where it was `auto`, and its `dropout`.

    Yields:
        A function that returns a context manager under which the model has its original settings.

    Raises:
        InputError: The recipe sets a dropout rate, and the model has no dropout layer.
    """
    dropouts = _dropout_layers(model, recipe)
    layers = castable_layers(model)
    attributes = [(layer, "dtype_policy") for layer in layers] + [(dropout, "rate") for dropout in dropouts]
    with preserve_settings(attributes) as original_settings:
        for layer in layers if recipe.precision != "float32" else ():
            layer.dtype_policy = recipe.precision
        for dropout in dropouts:
            dropout.rate = recipe.dropout
        yield original_settings


def _dropout_layers(model: keras.Model, recipe: Recipe) -> list[keras.layers.Dropout]:
    """Return the layers whose rate the recipe sets; none where it leaves the rates as they are."""
    if recipe.dropout is None:
        return []
    layers = [layer for layer in all_layers(model, include_self=True) if isinstance(layer, keras.layers.Dropout)]
    # A layer with a noise shape drops whole residual branches (stochastic depth); its rate depends on its depth.
    dropouts = [layer for layer in layers if layer.noise_shape is None and layer.rate]
    if recipe.dropout and not dropouts:
        raise InputError(
            f"dropout is {recipe.dropout}, but {model.name} has no dropout layer; create the model with dropout, or "
            "leave it out of the recipe."
        )
    return dropouts


@contextmanager
def _temporarily(settings: list[tuple[keras.Layer, str, Any]]) -> Iterator[None]:
    current = [(layer, name, getattr(layer, name)) for layer, name, _ in settings]
    _assign(settings)
    try:
        yield
    finally:
        _assign(current)


def _assign(settings: list[tuple[keras.Layer, str, Any]]) -> None:
    for layer, name, value in settings:
        setattr(layer, name, value)
