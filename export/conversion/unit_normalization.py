"""L2 normalization in the form that converters recognize."""

from typing import Any

import keras

SMALLEST_SQUARE = 1e-12
"""Lower bound of the square of a norm by which a vector is divided."""


class L2Normalization(keras.layers.UnitNormalization):
    """`UnitNormalization` with the bound on the sum, not on its inverse root; below 1e-6 of length they differ.

    Of Keras' own form TFLite makes five operators, in whose int8 form hardly anything of the sum is left; of this one
    it makes L2_NORMALIZATION.
    """

    def call(self, inputs: Any) -> Any:
        """Return vectors divided by their Euclidean norm; zeros stay zeros."""
        squares = keras.ops.sum(keras.ops.square(inputs), axis=self.axis, keepdims=True)
        return inputs * keras.ops.rsqrt(keras.ops.maximum(squares, SMALLEST_SQUARE))


def with_l2_normalization(flat: keras.Model) -> keras.Model:
    """Return a flat model whose normalizations of vectors are in that form; the same model if it has none."""
    made: dict[int, keras.layers.Layer] = {}

    def convertible(layer: keras.layers.Layer) -> keras.layers.Layer:
        if type(layer) is not keras.layers.UnitNormalization:
            return layer
        return made.setdefault(id(layer), L2Normalization.from_config(layer.get_config()))

    if not any(type(layer) is keras.layers.UnitNormalization for layer in flat.layers):
        return flat
    return keras.models.clone_model(flat, clone_function=convertible)
