"""Einstein sums that are products of elements, which the TFLite converter does not convert."""

import re
from contextlib import AbstractContextManager
from typing import Any

import tensorflow as tf

from ...core.process_patches import replace_attribute

EQUATION = re.compile(r"([a-zA-Z]+),([a-zA-Z]+)->([a-zA-Z]*)")


def products_for_einsum() -> AbstractContextManager[None]:
    """Trace `tf.einsum` during the block as a product and a sum where it is no product of matrices.

    The converter takes `bhwc,bc->bhwc`, a gate of channels, for a product of matrices of wrong sizes.
    """
    einsum = tf.einsum

    def product_or_einsum(equation: str, *operands: tf.Tensor, **options: Any) -> tf.Tensor:
        product = _product(equation.replace(" ", ""), operands)
        return einsum(equation, *operands, **options) if product is None else product

    return replace_attribute(tf, "einsum", product_or_einsum)


def _product(equation: str, operands: tuple[tf.Tensor, ...]) -> tf.Tensor | None:
    """Return the result; None where each of two operands has an index of its own, as matrices have."""
    parts = EQUATION.fullmatch(equation)
    if parts is None or len(operands) != 2 or any(len(set(part)) < len(part) for part in parts.groups()):
        return None
    first, second, result = map(str, parts.groups())
    if set(first) - set(second) and set(second) - set(first):
        return None
    order = result + "".join(sorted({*first, *second} - {*result}))
    terms = [_arranged(values, indices, order) for values, indices in zip(operands, (first, second), strict=True)]
    summed = list(range(len(result), len(order)))
    product = terms[0] * terms[1]
    return tf.reduce_sum(product, axis=summed) if summed else product


def _arranged(values: tf.Tensor, indices: str, order: str) -> tf.Tensor:
    """Return values with the axes of `order`; those that they do not have are of length 1."""
    values = tf.transpose(values, [indices.index(index) for index in order if index in indices])
    for axis, index in enumerate(order):
        if index not in indices:
            values = tf.expand_dims(values, axis)
    return values
