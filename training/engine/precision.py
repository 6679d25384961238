"""In what precision a model computes while it trains."""

import keras

from ...layers import Head, L2Pool2D, LocalResponseNormalization

OF_SQUARES = (L2Pool2D, LocalResponseNormalization)
"""What is inside them stays float32: float16 ends at 65504, which squares soon reach."""


def computing_layers(model: keras.Model) -> list[keras.Layer]:
    """All layers of `model` and inside them that may compute in another precision than float32.

    Not the layers that answer: softmax and what the loss is computed from are float32 in any precision.
    """
    answering = {id(tensor._keras_history.operation) for tensor in keras.tree.flatten(model.output)}
    kept: set[int] = set()
    for layer in model._flatten_layers(include_self=False):
        if id(layer) in answering or isinstance(layer, Head):
            kept.update(id(part) for part in layer._flatten_layers())
        elif isinstance(layer, OF_SQUARES):
            kept.update(id(part) for part in layer._flatten_layers(include_self=False))
    return [layer for layer in model._flatten_layers(include_self=False) if id(layer) not in kept]
