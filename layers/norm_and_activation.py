"""Normalization and activation layers by name, as the blocks create them."""

from typing import Any, overload

import keras

from .composite import CompositeLayer

Norm = str | dict[str, Any] | None
"""None, a name in `NORMS`, or a config: `{"name": "batch", "epsilon": 1e-5, "scale": False}`."""

# With Keras' momentum of 0.99 the statistics need hundreds of steps to converge; 200 photos give a few dozen.
NORMS: dict[str, tuple[type[keras.Layer], dict[str, Any]]] = {
    "batch": (keras.layers.BatchNormalization, {"momentum": 0.9}),
    "group": (keras.layers.GroupNormalization, {}),
    "instance": (keras.layers.GroupNormalization, {"groups": -1}),
    "layer": (keras.layers.LayerNormalization, {}),
}

# Activations that are layers in Keras; every other name is one of `keras.activations`.
ACTIVATIONS: dict[str, tuple[type[keras.Layer], dict[str, Any]]] = {
    "leaky_relu": (keras.layers.LeakyReLU, {"negative_slope": 0.01}),  # Maas, Hannun, Ng 2013
    "prelu": (keras.layers.PReLU, {"shared_axes": [1, 2]}),  # one slope per channel, He et al. arXiv:1502.01852
}


@overload
def norm_layer(owner: CompositeLayer, suffix: str, norm: str | dict[str, Any]) -> keras.Layer: ...
@overload
def norm_layer(owner: CompositeLayer, suffix: str, norm: Norm) -> keras.Layer | None: ...
def norm_layer(owner: CompositeLayer, suffix: str, norm: Norm) -> keras.Layer | None:
    """Create a normalization sublayer of `owner`, or return None for a `norm` of None.

    Raises:
        ValueError: The normalization is unknown.
    """
    if norm is None:
        return None
    config: dict[str, Any] = {"name": norm} if isinstance(norm, str) else dict(norm)
    name = config.pop("name", None)
    if name not in NORMS:
        raise ValueError(f"{owner.name}: norm is {norm!r}; allowed are None, {', '.join(map(repr, NORMS))}.")
    layer_class, defaults = NORMS[name]
    return owner.sublayer(layer_class, suffix, **defaults | config)


@overload
def activation_layer(owner: CompositeLayer, suffix: str, activation: str, **kwargs: Any) -> keras.Layer: ...
@overload
def activation_layer(owner: CompositeLayer, suffix: str, activation: None, **kwargs: Any) -> None: ...
@overload
def activation_layer(
    owner: CompositeLayer, suffix: str, activation: str | None, **kwargs: Any
) -> keras.Layer | None: ...
def activation_layer(owner: CompositeLayer, suffix: str, activation: str | None, **kwargs: Any) -> keras.Layer | None:
    """Create an activation sublayer of `owner`, or return None for an `activation` of None.

    Raises:
        ValueError: The activation is unknown.
    """
    if activation is None:
        return None
    if activation in ACTIVATIONS:
        layer_class, config = ACTIVATIONS[activation]
        if "shared_axes" in config:
            config = {"shared_axes": list(range(1, owner.dimensions + 1))}
        return owner.sublayer(layer_class, suffix, **config, **kwargs)
    return owner.sublayer(keras.layers.Activation, suffix, activation, **kwargs)
