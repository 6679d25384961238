"""How a model computes while it trains: its precision, and the rate of its dropout."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import keras

from ...core.errors import InputError
from ..recipe.recipe import Recipe
from .precision import computing_layers

Settings = list[tuple[keras.Layer, str, Any]]
"""Layer, attribute and value."""


@contextmanager
def training_settings(model: keras.Model, recipe: Recipe) -> Iterator[Callable[[], AbstractContextManager]]:
    """Inside the block `model` computes in the precision and with the dropout of `recipe`; afterwards all is as before.

    Weights stay float32 in any precision. The block begins before the network is compiled, which is not used after it:
    what was traced inside computes as it did there.

    Args:
        model: The run's.
        recipe: Its `precision`, which is chosen already where it was `auto`, and `dropout`.

    Yields:
        A function that gives a context in which the model is as it was, for saving it in the meantime.

    Raises:
        InputError: The recipe sets the rate of dropout, and the model has none.
    """
    dropouts = _dropouts(model, recipe)
    layers = computing_layers(model)
    given: Settings = [(layer, "dtype_policy", layer.dtype_policy) for layer in layers]
    given += [(dropout, "rate", dropout.rate) for dropout in dropouts]
    wanted: Settings = [(layer, "dtype_policy", recipe.precision) for layer in layers if recipe.precision != "float32"]
    wanted += [(dropout, "rate", recipe.dropout) for dropout in dropouts]
    try:
        _set(wanted)
        yield lambda: _set_for_now(given, wanted)
    finally:
        _set(given)


def _dropouts(model: keras.Model, recipe: Recipe) -> list[keras.layers.Dropout]:
    if recipe.dropout is None:
        return []
    parts = [part for part in model._flatten_layers() if isinstance(part, keras.layers.Dropout)]
    # Those that drop whole branches of an image are no dropout of features: their rates rise with depth.
    dropouts = [part for part in parts if part.noise_shape is None and part.rate]
    if recipe.dropout and not dropouts:
        raise InputError(
            f"dropout is {recipe.dropout}, but {model.name} has no dropout layer; create the model with dropout, or "
            "leave it out of the recipe."
        )
    return dropouts


@contextmanager
def _set_for_now(given: Settings, wanted: Settings) -> Iterator[None]:
    _set(given)
    try:
        yield
    finally:
        _set(wanted)


def _set(settings: Settings) -> None:
    for layer, attribute, value in settings:
        setattr(layer, attribute, value)
