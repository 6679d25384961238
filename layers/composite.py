"""Base classes of composite layers, and functions that build and call layers in sequence."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import keras

from ..core.keras_private import all_layers
from .dimensions import current_dimensions, in_dimensions

Shape = tuple[Any, ...]
"""Shape of a tensor with its batch axis: an int for each axis, or None where the size is unknown.

`Any`, not `int | None`, because channels are always known, and sizes are computed from them."""

AnyLayer = TypeVar("AnyLayer", bound=keras.Layer)


class CompositeLayer(keras.Layer):
    """A layer whose `call` only applies other Keras layers, so that `zoo.flatten_model` can replace it by them.

    A subclass stores every constructor argument in an attribute of the same name (`get_config` returns these, so a
    model can be rebuilt narrower from its config), creates its sublayers with `sublayer`, builds them in `build`, and
    has a `call` that passes `training` on to them, without a literal channel count or a Python branch on tensor values.
    The channels are the last axis.

    Args:
        dimensions: Number of spatial axes of its inputs: 2 for images `(batch, height, width, channels)`, 1 for signals
            `(batch, length, channels)`, 3 for volumes. Sublayers such as `Conv2D` are of the class for that number,
            `Conv1D` or `Conv3D`. None for that of the `spatial_dimensions` around it, or else 2.
    """

    def __init__(self, *, dimensions: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dimensions = current_dimensions() if dimensions is None else dimensions

    def sublayer(self, layer_class: Callable[..., AnyLayer], suffix: str, *args: Any, **kwargs: Any) -> AnyLayer:
        """Create a sublayer named `<this layer's name>_<suffix>`, which is unique in the flattened model.

        A class of Keras for images, such as `Conv2D`, stands for that of this layer's number of dimensions.
        """
        kwargs.setdefault("dtype", self.dtype_policy)
        if isinstance(layer_class, type) and issubclass(layer_class, CompositeLayer):
            kwargs.setdefault("dimensions", self.dimensions)
        elif isinstance(layer_class, type):
            layer_class = in_dimensions(layer_class, self.dimensions)
        part = layer_class(*args, name=f"{self.name}_{suffix}", **kwargs)
        if not self.trainable:
            part.trainable = False  # when a frozen block is loaded, all of its sublayers are frozen
        return part

    def get_config(self) -> dict[str, Any]:
        """Return every constructor argument by name."""
        own = {name: _plain(getattr(self, name)) for name in _own_arguments(type(self))}
        # Files of models for images stay those of earlier versions.
        return super().get_config() | own | ({} if self.dimensions == 2 else {"dimensions": self.dimensions})

    def width_parts(self) -> dict[str, Any]:
        """Return, for each constructor argument that is a width, the sublayer whose output channels it sets.

        A list of widths maps to a list of sublayers, a dict that contains widths to a dict, and a width of None to
        None. A sublayer that is itself a composite stands for its own `filters`. Channel pruning uses this to rebuild
        the layer with other widths.
        """
        return {}

    def get_build_config(self) -> dict[str, Any]:
        """Return what a saved file stores about the built layer: its input shape and the frozen sublayers."""
        frozen = [part.name for part in all_layers(self) if not part.trainable]
        return {**(super().get_build_config() or {}), "frozen": frozen}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Build the layer as it was when it was saved."""
        config = dict(config)
        frozen = set(config.pop("frozen", ()))
        super().build_from_config(config)
        for part in all_layers(self):
            if part.name in frozen:
                part.trainable = False


class ChainLayer(CompositeLayer):
    """A composite that applies its sublayers in sequence; a subclass lists them in `chain`."""

    def chain(self) -> list[keras.Layer]:
        """Return the sublayers in order. Not a property: Keras would save the weights under its name."""
        raise NotImplementedError

    def build(self, input_shape: Shape) -> None:
        """Build the sublayers."""
        build_chain(self.chain(), input_shape)

    def call(self, inputs: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:
        """Apply the sublayers in order."""
        return call_chain(self.chain(), inputs, training)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the output shape of the last sublayer."""
        return chain_output_shape(self.chain(), input_shape)


def _plain(value: Any) -> Any:
    """Return a copy in Python's own containers; Keras' own lists and dicts hold a reference to the layer."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return (list if isinstance(value, list) else tuple)(_plain(item) for item in value)
    return value


def _own_arguments(layer_class: type[CompositeLayer]) -> tuple[str, ...]:
    # `__init__`, since the signature of the class is that of Keras' `__new__`, which takes anything.
    parameters = inspect.signature(layer_class.__init__).parameters.values()
    return tuple(p.name for p in parameters if p.name != "self" and p.kind is not p.VAR_KEYWORD)


def build_chain(chain: Iterable[keras.Layer], shape: Shape) -> Shape:
    """Build layers that are applied in sequence to inputs of `shape`, and return the output shape of the last."""
    shape = tuple(shape)  # a list when it comes from a saved config
    for layer in chain:
        if not layer.built:
            layer.build(shape)
        shape = layer.compute_output_shape(shape)
    return shape


def chain_output_shape(chain: Iterable[keras.Layer], shape: Shape) -> Shape:
    """Return the output shape of the last layer of `chain` for inputs of `shape`, without building anything."""
    for layer in chain:
        shape = layer.compute_output_shape(shape)
    return shape


def call_chain(chain: Iterable[keras.Layer], x: Any, training: bool | None = None) -> Any:
    """Apply layers in sequence to `x`."""
    for layer in chain:
        x = layer(x, training=training)
    return x
