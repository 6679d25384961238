"""Normalisations and activations by name, as the blocks take them."""

from typing import Any

import keras

from .composite import CompositeLayer

Norm = str | dict[str, Any] | None
"""None, a name of `NORMS`, or its config: `{"name": "batch", "epsilon": 1e-5, "scale": False}`."""

# Keras' momentum of 0.99 needs hundreds of steps to forget its start; 200 photos give a few dozen.
NORMS: dict[str, tuple[type[keras.layers.Layer], dict[str, Any]]] = {
    "batch": (keras.layers.BatchNormalization, {"momentum": 0.9}),
    "group": (keras.layers.GroupNormalization, {}),
    "instance": (keras.layers.GroupNormalization, {"groups": -1}),
    "layer": (keras.layers.LayerNormalization, {}),
}

# The activations that Keras has as layers; every other name is one of `keras.activations`.
ACTIVATIONS: dict[str, tuple[type[keras.layers.Layer], dict[str, Any]]] = {
    "leaky_relu": (keras.layers.LeakyReLU, {"negative_slope": 0.01}),  # Maas, Hannun, Ng 2013
    "prelu": (keras.layers.PReLU, {"shared_axes": [1, 2]}),  # one slope a channel, He et al. arXiv:1502.01852
}


def norm_layer(owner: CompositeLayer, suffix: str, norm: Norm) -> keras.layers.Layer | None:
    """A part of `owner` that normalises, or None.

    Raises:
        ValueError: There is no such normalisation.
    """
    if norm is None:
        return None
    config = {"name": norm} if isinstance(norm, str) else dict(norm)
    name = config.pop("name", None)
    if name not in NORMS:
        raise ValueError(f"{owner.name}: norm is {norm!r}; allowed are None, {', '.join(map(repr, NORMS))}.")
    layer_class, defaults = NORMS[name]
    return owner.sublayer(layer_class, suffix, **defaults | config)


def act_layer(owner: CompositeLayer, suffix: str, activation: str | None, **kwargs: Any) -> keras.layers.Layer | None:
    """A part of `owner` that applies the activation of that name, or None.

    Raises:
        ValueError: There is no such activation.
    """
    if activation is None:
        return None
    if activation in ACTIVATIONS:
        layer_class, config = ACTIVATIONS[activation]
        return owner.sublayer(layer_class, suffix, **config, **kwargs)
    return owner.sublayer(keras.layers.Activation, suffix, activation, **kwargs)
