"""What every composite layer has in common."""

import inspect
from collections.abc import Iterable
from functools import cache
from typing import Any

import keras

from ..core.keras_private import all_layers

Shape = tuple[int | None, ...]


class CompositeLayer(keras.layers.Layer):
    """A layer whose `call` only applies other Keras layers, so that `zoo.flatten_model` can write it out flat.

    A subclass keeps every constructor argument in an attribute of the same name (that is what `get_config` returns, so
    a model can be rebuilt narrower from its config), makes its parts with `sublayer`, builds them in `build`, and has a
    `call` that hands `training` on to them, with no literal channel count and no Python branch on tensor values. Its
    data format is NHWC.
    """

    def sublayer(self, layer_class: type[keras.layers.Layer], suffix: str, *args: Any, **kwargs: Any):
        """Makes a part named `<this layer's name>_<suffix>`: unique in the model once it is written out flat."""
        kwargs.setdefault("dtype", self.dtype_policy)
        part = layer_class(*args, name=f"{self.name}_{suffix}", **kwargs)
        if not self.trainable:
            part.trainable = False  # a frozen block that is loaded again is frozen throughout
        return part

    def get_config(self) -> dict[str, Any]:
        """Every constructor argument, by name."""
        return super().get_config() | {name: _plain(getattr(self, name)) for name in _own_arguments(type(self))}

    def width_parts(self) -> dict[str, Any]:
        """By constructor argument that is a width: the part whose output channels it counts.

        For a list of widths a list of parts, for a dict with widths in it a dict, None for a width that is None. A part
        that is a composite stands for what its own `filters` count. So a layer can be rebuilt with other widths.
        """
        return {}

    def get_build_config(self) -> dict[str, Any]:
        """What a saved file holds of the built layer: its input's shape, and which of its parts are frozen."""
        frozen = [part.name for part in all_layers(self) if not part.trainable]
        return {**(super().get_build_config() or {}), "frozen": frozen}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Builds the layer as it was when it was saved."""
        config = dict(config)
        frozen = set(config.pop("frozen", ()))
        super().build_from_config(config)
        for part in all_layers(self):
            if part.name in frozen:
                part.trainable = False


class ChainLayer(CompositeLayer):
    """A composite whose parts simply follow one another; a subclass lists them in `chain`."""

    def chain(self) -> list[keras.layers.Layer]:
        """The parts in order. No property: Keras would file the parts' weights under its name."""
        raise NotImplementedError

    def build(self, input_shape):
        """Builds the parts."""
        build_chain(self.chain(), input_shape)

    def call(self, inputs, training=None):
        """Applies the parts in order."""
        return call_chain(self.chain(), inputs, training)

    def compute_output_shape(self, input_shape):
        """The shape that leaves the last part."""
        return chain_output_shape(self.chain(), input_shape)


def _plain(value: Any) -> Any:
    """A copy in Python's own containers: Keras keeps lists and dicts in its own, which hold on to the layer."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return (list if isinstance(value, list) else tuple)(_plain(item) for item in value)
    return value


@cache
def _own_arguments(layer_class: type[CompositeLayer]) -> tuple[str, ...]:
    parameters = inspect.signature(layer_class.__init__).parameters.values()
    return tuple(p.name for p in parameters if p.name != "self" and p.kind is not p.VAR_KEYWORD)


def build_chain(chain: Iterable[keras.layers.Layer], shape: Shape) -> Shape:
    """Builds layers that follow one another on inputs of `shape` and returns the shape that leaves the last."""
    shape = tuple(shape)  # a list when it comes from a saved config
    for layer in chain:
        if not layer.built:
            layer.build(shape)
        shape = layer.compute_output_shape(shape)
    return shape


def chain_output_shape(chain: Iterable[keras.layers.Layer], shape: Shape) -> Shape:
    """The shape that leaves the last of `chain` for inputs of `shape`, without building anything."""
    for layer in chain:
        shape = layer.compute_output_shape(shape)
    return shape


def call_chain(chain: Iterable[keras.layers.Layer], x: Any, training: bool | None = None) -> Any:
    """Applies layers one after another to `x`."""
    for layer in chain:
        x = layer(x, training=training)
    return x
