"""Features by endpoint."""

from collections.abc import Sequence

import keras

from .errors import unknown
from .registry import card_of


def feature_extractor(model: keras.Model, endpoints: Sequence[str] | None = None) -> keras.Model:
    """A model from the same pixels to the feature maps at `endpoints`, as a dict by name.

    Args:
        model: A model that `create_model` made (its name is its card's).
        endpoints: Names from the card; all of them by default.

    Raises:
        InputError: The model is none of the zoo, or has no endpoint of that name.
    """
    names = {layer.name for layer in model.layers}
    known = {name: at for name, at in card_of(model.name).endpoints.items() if at.layer in names}
    chosen = list(known) if endpoints is None else endpoints
    for name in chosen:
        if name not in known:
            raise unknown(f"endpoint of {model.name}", name, known)
    return keras.Model(model.input, {name: model.get_layer(known[name].layer).output for name in chosen})
