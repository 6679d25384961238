"""Feature extraction at named endpoints."""

from collections.abc import Sequence

import keras

from ..core.arguments import check_arguments
from ..core.errors import InputError, unknown
from .registry import card_of


def endpoint_layers(model: keras.Model) -> dict[str, str]:
    """Return the layers of the endpoints on the card of a model, by endpoint, as far as the model has them.

    Empty for a model that is not from the zoo.
    """
    present = {layer.name for layer in model.layers}
    try:
        endpoints = card_of(model.name).endpoints
    except InputError:
        return {}
    return {name: at.layer for name, at in endpoints.items() if at.layer in present}


@check_arguments
def feature_extractor(model: keras.Model, endpoints: str | Sequence[str] | None = None) -> keras.Model:
    """Return a model with the same input whose outputs are the feature maps at `endpoints`, a dict by name.

    Args:
        model: A model from `create_model` (its name identifies its card).
        endpoints: Endpoint names from the card, or one; None for all that the model has (a decoder may not use the
            whole backbone, and a shallower variant has fewer). An endpoint is a layer name: in a variant with more
            blocks than the card's, an endpoint is not the last layer of its stage.

    Raises:
        InputError: The model is not from the zoo, is flattened, or has no endpoint of that name.
    """
    names = {layer.name for layer in model.layers}
    available = {name: at for name, at in card_of(model.name).endpoints.items() if at.layer in names}
    if not available:
        raise InputError(f"{model.name} has none of its card's endpoints: it is flattened, or differs from the card.")
    selected = list(available) if endpoints is None else [endpoints] if isinstance(endpoints, str) else list(endpoints)
    if not selected:
        raise InputError(f"endpoints is empty; {model.name} has {', '.join(available)}.")
    for name in selected:
        if name not in available:
            raise unknown(f"endpoint of {model.name}", name, available, listed_by="`pocketzoo info`")
    return keras.Model(model.input, {name: model.get_layer(available[name].layer).output for name in selected})
