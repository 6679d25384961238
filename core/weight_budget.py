"""The layers, weights and tensors that the config of a model asks for, checked before they are made."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

from .errors import InputError
from .limits import MODEL_BYTES, MODEL_LAYERS, MODEL_MEMORY, MODEL_PARTS
from .process_patches import replace_attribute

BYTES = 4
"""Of a value in float32."""
EXPANSION = 8
"""Bytes of weights per byte that a file stores, compressed or in fewer bits."""
SMALL = 2**24
"""Bytes of weights that a model may have in any case."""


def check_layers(config: Any) -> None:
    """Check how many layers the config of a model has, at any depth; one that is called twice counts twice.

    Raises:
        InputError: There are too many.
    """
    MODEL_LAYERS.check(_count_layers(config), "its config")


def _count_layers(config: Any) -> int:
    if isinstance(config, list):
        return sum(map(_count_layers, config))
    if not isinstance(config, dict):
        return 0
    own, kind = config.get("config"), config.get("class_name")
    is_layer = kind not in (None, "DTypePolicy") and isinstance(own, dict) and "name" in own
    calls = config.get("inbound_nodes")
    times = max(1, len(calls)) if isinstance(calls, list) else 1
    return is_layer * times + sum(map(_count_layers, config.values()))


@contextmanager
def limit_weights(stored_bytes: int) -> Iterator[None]:
    """Raise an error in the block as soon as its models have more weights than a model may have, or than a file stores.

    Weights that take long to initialize begin as zeros: they come from the file.

    Args:
        stored_bytes: Size of the weights in the file, compressed or not.

    Raises:
        InputError: The weights are too many or too large; from within what creates them.
    """
    create = keras.Variable.__init__
    count = size = 0

    def create_within_limit(variable: keras.Variable, initializer: Any, shape: Any = None, **options: Any) -> None:
        nonlocal count, size
        sides = [side for side in shape or () if isinstance(side, int)]
        count, size = count + 1, size + BYTES * math.prod(sides)
        MODEL_PARTS.check(count, "its list of weights")
        MODEL_BYTES.check(size, "the sum of its weights")
        if size > SMALL + EXPANSION * stored_bytes:
            raise InputError(f"its config asks for {size:,} bytes of weights, of which it stores {stored_bytes:,}.")
        if isinstance(initializer, keras.initializers.Orthogonal):  # the cube of the side
            initializer = "zeros"
        create(variable, initializer, shape, **options)

    with replace_attribute(keras.Variable, "__init__", create_within_limit):
        yield


def check_tensors(model: keras.Model) -> None:
    """Check the size of each tensor that a functional model computes for one image, as far as its shape is known.

    Raises:
        InputError: One is too large.
    """
    for layer in model.layers:
        for tensor in keras.tree.flatten(getattr(layer, "output", [])):  # a layer that was not called has none
            size = BYTES * math.prod(side for side in tensor.shape if side)
            MODEL_MEMORY.check(size, f"the output of its layer {layer.name}")
