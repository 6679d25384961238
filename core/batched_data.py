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
        InputError: The dataset has no end, or images of different sizes.
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
    if is_single and max(ranks) == 3 and all(map(_is_open, inputs)) and len(spec) > 1 and _is_open(spec[1]):
        is_single = False  # a batch of gray images without an axis of channels
    return _arrays_of(data.batch(UNBATCHED_ROWS) if is_single else data, what)


def _is_open(spec: Any) -> bool:
    """Whether the first axis of a part of a dataset's elements has any length, as that of a batch does."""
    shape = getattr(spec, "shape", None)
    return shape is not None and bool(shape.rank) and shape[0] is None


def _arrays_of(dataset: Any, what: str) -> Iterator[Any]:
    import tensorflow as tf

    try:
        yield from dataset.as_numpy_iterator()
    except tf.errors.InvalidArgumentError as error:
        if "different shapes" not in str(error):
            raise
        raise InputError(
            f"the images in {what} differ in size; resize them, as in dataset.map(lambda image, label: "
            "(tf.image.resize(image, size), label))."
        ) from error


def joined_batches(batches: Iterator[Any], what: str) -> Any:
    """Return batches of one structure as one, of arrays of all rows.

    Raises:
        InputError: There is no batch, or rows differ in shape.
    """
    parts = list(batches)
    if not parts:
        raise InputError(f"{what} has no batch; it takes at least one image of each class.")
    return keras.tree.map_structure(lambda *arrays: _joined(arrays, what), *parts)


def _joined(arrays: tuple[Any, ...], what: str) -> np.ndarray:
    shapes = {np.shape(array)[1:] for array in arrays}
    if len(shapes) > 1:
        raise InputError(f"batches of {what} have rows of the shapes {' and '.join(map(str, sorted(shapes)[:2]))}.")
    return np.concatenate(arrays)


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
