"""Features by endpoint."""

from collections.abc import Sequence

import keras

from ..core.errors import InputError, unknown
from .registry import card_of


def feature_extractor(model: keras.Model, endpoints: Sequence[str] | None = None) -> keras.Model:
    """A model from the same pixels to the feature maps at `endpoints`, as a dict by name.

    Args:
        model: A model that `create_model` made (its name is its card's).
        endpoints: Names from the card; by default all that the model has: a decoder may start before its backbone's
            end, and a net of another depth lacks some. They are layers by name: in a net that was made deeper than its
            card's, an endpoint is no longer the last of its stage.

    Raises:
        InputError: The model is none of the zoo, is written out flat, or has no endpoint of that name.
    """
    names = {layer.name for layer in model.layers}
    known = {name: at for name, at in card_of(model.name).endpoints.items() if at.layer in names}
    if not known:
        raise InputError(f"{model.name} has none of its card's endpoints: it is flat, or other than the card says.")
    chosen = list(known) if endpoints is None else [endpoints] if isinstance(endpoints, str) else list(endpoints)
    if not chosen:
        raise InputError(f"endpoints is empty; {model.name} has {', '.join(known)}.")
    for name in chosen:
        if name not in known:
            raise unknown(f"endpoint of {model.name}", name, known)
    return keras.Model(model.input, {name: model.get_layer(known[name].layer).output for name in chosen})
