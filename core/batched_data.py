"""Finite datasets of TensorFlow and Keras, batch by batch."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from .errors import InputError

UNBATCHED_ROWS = 1024
"""Images that are read at a time of a dataset that is not batched."""


def batches_of(data: Any, what: str) -> Iterator[Any] | None:
    """Return the batches of a `tf.data.Dataset` or `keras.utils.PyDataset` as arrays; None if `data` is neither.

    Args:
        data: Anything.
        what: What messages call it.

    Raises:
        InputError: The dataset has no end.
    """
    import tensorflow as tf

    if isinstance(data, keras.utils.PyDataset):
        if data.num_batches is None:
            raise InputError(f"{what} is a PyDataset without an end; give it a __len__, the number of its batches.")
        return (data[index] for index in range(data.num_batches))
    if not isinstance(data, tf.data.Dataset):
        return None
    if data.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise InputError(f"{what} is a tf.data.Dataset without an end; leave out repeat(), or add take().")
    spec = data.element_spec
    inputs = tf.nest.flatten(spec[0] if isinstance(spec, tuple | list) and spec else spec)
    ranks = [each.shape.rank for each in inputs if isinstance(each, tf.TensorSpec)]
    is_single = bool(ranks) and None not in ranks and max(ranks) < 4
    batches: Iterator[Any] = (data.batch(UNBATCHED_ROWS) if is_single else data).as_numpy_iterator()
    return batches


def joined_batches(batches: Iterator[Any], what: str) -> Any:
    """Return batches of one structure as one, of arrays of all rows.

    Raises:
        InputError: There is no batch.
    """
    parts = list(batches)
    if not parts:
        raise InputError(f"{what} has no batch; it takes at least one image of each class.")
    return keras.tree.map_structure(lambda *arrays: np.concatenate(arrays), *parts)


def with_raw_pixels(inputs: Any) -> Any:
    """Return images as uint8 where that keeps every value, as of Keras' loaders, which return float32 0..255.

    Args:
        inputs: An array, or several inputs in a dict or tuple, of which those that are no images stay as they are.
    """
    return keras.tree.map_structure(_with_raw_pixels, inputs)


def _with_raw_pixels(images: np.ndarray) -> np.ndarray:
    if images.ndim < 3 or images.dtype == np.uint8 or images.dtype.kind not in "iuf" or not images.size:
        return images
    is_whole = images.min() >= 0 and 1 < images.max() <= 255 and bool((images == np.floor(images)).all())
    return images.astype("uint8") if is_whole else images
