"""tf.data streams whose order and augmentation depend only on (seed, epoch, image), not on parallelism."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from ...core.outputs import by_name, map_outputs
from ...tasks.registry import get_task
from ...zoo.pixel_range import Range
from ..augmentation.augmenter import check_dimensions, make_augmenter
from ..augmentation.mixing import mixable, mixing
from ..augmentation.user_functions import CallFunction, caller
from ..recipe.augmentation import Transformation, transformations
from ..recipe.recipe import Recipe
from .balance import chosen_images, images_in_batches, images_per_epoch, weigher
from .cache import cached
from .class_batches import images_per_class
from .feature_maps import FeatureMaps
from .images import ArrayImages, Images, ImageSplit, dtype_of
from .pixel_format import to_raw
from .stream_functions import called_weakly, owning

Reader = Callable[[np.ndarray], list[np.ndarray]]
"""From the rows of a batch to its arrays."""


def steps_per_epoch(split: ImageSplit, recipe: Recipe) -> int:
    """Return the number of batches in an epoch; the last may be smaller."""
    return math.ceil(images_per_epoch(split, recipe) / recipe.batch_size)


def training_batches(
    split: ImageSplit, recipe: Recipe, *, first_epoch: int = 0, first_step: int = 0
) -> tf.data.Dataset:
    """Return the batches for training, shuffled and augmented anew in each epoch, up to the end of the recipe.

    A stream that starts at batch 3 of epoch 7 continues as one that started at 0 does from there; `resume` relies on
    it. Feature maps are not augmented.

    Args:
        split: Images and targets.
        recipe: Seed, epochs, batch size, augmentation and the section `data`.
        first_epoch: Index of the first epoch.
        first_step: Index of the first batch in that epoch.

    Returns:
        Float32 pixels `(batch, height, width, channels)`, mapped from the range of the split to 0..255, of several
        inputs a dict by name; and targets as in `Targets`, one-hot instead of class indices where the augmentation
        mixes images; and sample weights where classes have weights. Only the images are augmented.

    Raises:
        InputError: The recipe balances classes or mixes targets, which these targets do not support.
    """
    count = images_per_epoch(split, recipe)
    read = _reader(_decoded_images(split, recipe), split)
    choose = partial(_choose_rows, split, recipe)
    rows_of = _rows_of_epoch(split, recipe, called_weakly(choose))
    call, is_ordered = caller(_steps(split, recipe), split), images_per_class(split, recipe) is not None

    @tf.autograph.experimental.do_not_convert
    def batches_of(epoch: tf.Tensor) -> tf.data.Dataset:
        order = tf.range(count)
        if not is_ordered:
            order = tf.random.experimental.stateless_shuffle(order, seed=[recipe.seed, tf.cast(epoch, tf.int32)])
        shown = (order, tf.gather(rows_of(epoch), order))
        batches = tf.data.Dataset.from_tensor_slices(shown).batch(recipe.batch_size)
        rest = batches.skip(tf.where(epoch == first_epoch, tf.constant(first_step, tf.int64), 0))
        return rest.map(lambda positions, rows: (epoch, positions, rows))

    batches = tf.data.Dataset.range(first_epoch, recipe.epochs).flat_map(batches_of)
    batches = batches.map(_loader(split, recipe, read, call), num_parallel_calls=tf.data.AUTOTUNE)
    return owning(batches.prefetch(tf.data.AUTOTUNE), read, choose, *([] if call is None else [call]))


def augmented_images(split: ImageSplit, recipe: Recipe, rows: np.ndarray, *, epoch: int) -> tuple[np.ndarray, Any]:
    """Return one batch of augmented images, float32 0..255, and its targets, as training would show them.

    Args:
        split: Images and targets.
        recipe: Seed and augmentation.
        rows: Rows of the images in the split, which take the first positions of the epoch.
        epoch: Index of the epoch.

    Raises:
        InputError: A function of the user fails, or returns something else than an image and its target.
    """
    read, call = _reader(split.images, split), caller(_steps(split, recipe), split)
    load = _loader(split, recipe, read, call)
    inputs, targets, *_ = load(tf.constant(epoch, tf.int64), tf.range(len(rows)), tf.constant(rows, tf.int64))
    return by_name(inputs)[split.image_name].numpy(), tf.nest.map_structure(lambda tensor: tensor.numpy(), targets)


def evaluation_batches(split: ImageSplit, batch_size: int) -> tf.data.Dataset:
    """Return the batches of inputs, as in `training_batches`, and targets, in the order of the split."""
    return batches_of_rows(split, np.arange(len(split)), batch_size)


def validation_batches(split: ImageSplit, recipe: Recipe) -> tf.data.Dataset:
    """Return the batches of `evaluation_batches`; for losses that compare images, as many of each class in a batch.

    Those are the same in each epoch.
    """
    of_each = images_per_class(split, recipe)
    if of_each is None:
        return evaluation_batches(split, recipe.batch_size)
    return batches_of_rows(split, images_in_batches(split, recipe, of_each, epoch=-1), recipe.batch_size)


def batches_of_rows(split: ImageSplit, rows: np.ndarray, batch_size: int) -> tf.data.Dataset:
    """Return the batches of `evaluation_batches` of some rows, in their order."""
    read = _reader(split.images, split)
    indices = tf.data.Dataset.from_tensor_slices(rows.astype("int64")).batch(batch_size)
    batches = indices.map(_tensors(split, read), num_parallel_calls=tf.data.AUTOTUNE)
    return owning(batches.prefetch(tf.data.AUTOTUNE), read)


def _steps(split: ImageSplit, recipe: Recipe) -> tuple[Transformation, ...]:
    """Return the transformations of the images; feature maps have none."""
    return () if isinstance(split.images, FeatureMaps) else transformations(recipe.augmentation)


def _loader(split: ImageSplit, recipe: Recipe, read: Reader, call: CallFunction | None) -> Callable[..., tuple]:
    """Return a function from an epoch, positions in it and the rows of the images there to a batch.

    An image's random numbers depend on its position: one that is shown twice in an epoch is augmented in two ways.
    """
    augmentation, image_name = _steps(split, recipe), split.image_name
    if augmentation:
        check_dimensions(augmentation, split.images.shape)
    has_void = split.ignore is not None
    augment = make_augmenter(augmentation, split.tasks, names=split.names, has_void=has_void, call=call)
    weigh = weigher(split, recipe.data)
    to_mix = map_outputs(partial(mixable, mixing(augmentation)), split.tasks, split.labels)
    tensors = _tensors(split, read)

    @tf.autograph.experimental.do_not_convert
    def load(epoch: tf.Tensor, positions: tf.Tensor, rows: tf.Tensor) -> tuple:
        inputs, targets = tensors(rows)
        targets = map_outputs(lambda function, rows: function(rows), to_mix, targets)
        if augment is not None:
            epoch_seeds = tf.fill(tf.shape(positions), (recipe.seed << 32) + epoch)
            seeds = tf.stack([epoch_seeds, tf.cast(positions, tf.int64)], axis=1)
            image, targets = augment(by_name(inputs)[image_name], targets, seeds)
            inputs = {**inputs, image_name: image} if image_name else image
        return (inputs, targets) if weigh is None else (inputs, targets, weigh(targets))

    return load


def _rows_of_epoch(split: ImageSplit, recipe: Recipe, choose: Callable[..., Any]) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return a function from an epoch to the rows of the images that it shows, in any order."""
    count = images_per_epoch(split, recipe)
    if recipe.data.sampling == "none" and images_per_class(split, recipe) is None:
        return lambda epoch: tf.range(count, dtype=tf.int64)
    return lambda epoch: tf.ensure_shape(tf.numpy_function(choose, [epoch], tf.int64), (count,))


def _choose_rows(split: ImageSplit, recipe: Recipe, epoch: np.ndarray) -> np.ndarray:
    of_each = images_per_class(split, recipe)
    if of_each is not None:
        return images_in_batches(split, recipe, of_each, epoch=int(epoch))
    return chosen_images(split, recipe.data, seed=recipe.seed, epoch=int(epoch))


def _decoded_images(split: ImageSplit, recipe: Recipe) -> Images | FeatureMaps:
    """Return the images, cached where they have to be decoded."""
    is_decoded = isinstance(split.images, ArrayImages | FeatureMaps)
    return split.images if is_decoded else cached(split.images, recipe.data.cache)


def _reader(images: Images | FeatureMaps, split: ImageSplit) -> Reader:
    """Return a function from rows to arrays: the inputs, then the targets of each output."""
    labels, ignore, tasks = by_name(split.labels), split.ignore, by_name(split.tasks)
    further = list(split.further.values())

    def read(rows: np.ndarray) -> list[np.ndarray]:
        inputs = images.take(rows)
        parts = inputs if isinstance(inputs, list) else [inputs]
        marked = (get_task(tasks[name]).mark_void(targets[rows], ignore) for name, targets in labels.items())
        return [*parts, *(each.take(rows) for each in further), *marked]

    return read


def _tensors(split: ImageSplit, read: Reader) -> Callable[[tf.Tensor], tuple[Any, Any]]:
    """Return a function from rows to the inputs and the targets; no data becomes part of a graph."""
    from_features, names = isinstance(split.images, FeatureMaps), list(by_name(split.labels))
    images, ranges = split.images, split.pixel_ranges
    inputs = (
        list(zip(images.dtypes, images.shapes, strict=True))
        if from_features
        else [(dtype_of(each), each.shape) for each in split.inputs.values()]
    )
    targets = [(targets.dtype, targets.shape[1:]) for targets in by_name(split.labels).values()]
    dtypes, shapes = zip(*inputs, *targets, strict=True)
    has_names, read_weakly = isinstance(split.labels, dict), called_weakly(read)

    @tf.autograph.experimental.do_not_convert
    def tensors(rows: tf.Tensor) -> tuple[Any, Any]:
        arrays = tf.numpy_function(read_weakly, [rows], [tf.as_dtype(dtype) for dtype in dtypes])
        arrays = [tf.ensure_shape(array, (None, *shape)) for array, shape in zip(arrays, shapes, strict=True)]
        values, targets = arrays[: -len(names)], arrays[-len(names) :]
        inputs = tuple(values) if from_features else _named_inputs(values, ranges)
        return inputs, dict(zip(names, targets, strict=True)) if has_names else targets[0]

    return tensors


def _named_inputs(values: Sequence[tf.Tensor], ranges: Mapping[str, Range | None]) -> Any:
    """Return the images, or all inputs by name; pixels are mapped from their range to 0..255."""
    named = {
        name: rows if limits is None else to_raw(tf.cast(rows, tf.float32), limits)
        for rows, (name, limits) in zip(values, ranges.items(), strict=True)
    }
    return named.get("", named)
