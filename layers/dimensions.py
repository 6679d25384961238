"""Layers for signals, images and volumes: the same blocks in one, two and three spatial dimensions."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import keras

AnyLayer = TypeVar("AnyLayer", bound=keras.Layer)

_DIMENSIONS: ContextVar[int] = ContextVar("dimensions", default=2)


@contextmanager
def spatial_dimensions(count: int) -> Iterator[None]:
    """Let composite layers that are created in the block, and state nothing else, have `count` spatial dimensions."""
    token = _DIMENSIONS.set(count)
    try:
        yield
    finally:
        _DIMENSIONS.reset(token)


def current_dimensions() -> int:
    """Return the number of spatial dimensions of layers that are created here: 2, unless `spatial_dimensions` says."""
    return _DIMENSIONS.get()


def in_dimensions(layer_class: type[AnyLayer], dimensions: int) -> type[AnyLayer]:
    """Return the class of Keras that does the same in another number of dimensions: `Conv1D` for `Conv2D`.

    A class that is no layer of Keras for images is returned as it is.

    Raises:
        ValueError: Keras has no such layer, as `DepthwiseConv3D`.
    """
    name = layer_class.__name__
    if dimensions == 2 or "2D" not in name or getattr(keras.layers, name, None) is not layer_class:
        return layer_class
    name = name.replace("2D", f"{dimensions}D")
    found: type[AnyLayer] | None = getattr(keras.layers, name, None)
    if found is None:
        raise ValueError(f"Keras has no {name}.")
    return found


def for_map(layer_class: type[AnyLayer], x: Any) -> type[AnyLayer]:
    """Return the class of Keras for a tensor `(batch, ..., channels)`: of a signal, `MaxPooling1D`."""
    return in_dimensions(layer_class, len(x.shape) - 2)


def of_sides(values: tuple[Any, ...]) -> Any:
    """Return paddings or croppings of each side as layers of Keras take them: of a signal its only one."""
    return values[0] if len(values) == 1 else values
