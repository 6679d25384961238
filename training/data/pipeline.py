"""tf.data streams whose order and augmentation depend only on (seed, epoch, image), not on parallelism."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from ...core.outputs import map_outputs
from ..augmentation.augmenter import make_augmenter
from ..augmentation.mixing import mixable, mixing
from ..recipe.recipe import Recipe
from .balance import chosen_images, images_per_epoch, weigher
from .cache import cached
from .feature_maps import FeatureMaps
from .images import ArrayImages, Images, ImageSplit, Targets


def steps_per_epoch(split: ImageSplit, recipe: Recipe) -> int:
    """Return the number of batches in an epoch; the last may be smaller."""
    return math.ceil(images_per_epoch(split, recipe.data) / recipe.batch_size)


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
        Float32 pixels `(batch, height, width, channels)` in 0..255, and targets as in `Targets`, one-hot instead of
        class indices where the augmentation mixes images; and sample weights where classes have weights.

    Raises:
        InputError: The recipe balances classes or mixes targets, which these targets do not support.
    """
    count = images_per_epoch(split, recipe.data)

    @tf.autograph.experimental.do_not_convert
    def batches_of(epoch: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(tf.range(count), seed=[recipe.seed, tf.cast(epoch, tf.int32)])
        shown = (order, tf.gather(_rows_of_epoch(split, recipe, epoch), order))
        batches = tf.data.Dataset.from_tensor_slices(shown).batch(recipe.batch_size)
        rest = batches.skip(tf.where(epoch == first_epoch, tf.constant(first_step, tf.int64), 0))
        return rest.map(lambda positions, rows: (epoch, positions, rows))

    batches = tf.data.Dataset.range(first_epoch, recipe.epochs).flat_map(batches_of)
    return batches.map(_loader(split, recipe), num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def evaluation_batches(split: ImageSplit, batch_size: int) -> tf.data.Dataset:
    """Return the batches of float32 pixels and targets, in the order of the split."""
    indices = tf.data.Dataset.range(len(split)).batch(batch_size)

    def load(rows: tf.Tensor) -> tuple[Any, Any]:
        return _inputs(split.images, rows), map_outputs(partial(_rows, rows), split.labels)

    return indices.map(load, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def _loader(split: ImageSplit, recipe: Recipe) -> Callable[..., tuple]:
    """Return a function from an epoch, positions in it and the rows of the images there to a batch.

    An image's random numbers depend on its position: one that is shown twice in an epoch is augmented in two ways.
    """
    from_features = isinstance(split.images, FeatureMaps)
    augmentation = "none" if from_features else recipe.augmentation
    augment, weigh = make_augmenter(augmentation, split.tasks), weigher(split, recipe.data)
    mixers = mixing(augmentation)
    to_mix = map_outputs(partial(mixable, mixers[0]) if mixers else lambda *_: tf.identity, split.tasks, split.labels)
    decoded = isinstance(split.images, ArrayImages | FeatureMaps)
    images = split.images if decoded else cached(split.images, recipe.data.cache)

    @tf.autograph.experimental.do_not_convert
    def load(epoch: tf.Tensor, positions: tf.Tensor, rows: tf.Tensor) -> tuple:
        inputs, targets = _inputs(images, rows), map_outputs(partial(_rows, rows), split.labels)
        targets = map_outputs(lambda function, rows: function(rows), to_mix, targets)
        if augment is not None:
            epoch_seeds = tf.fill(tf.shape(positions), (recipe.seed << 32) + epoch)
            seeds = tf.stack([epoch_seeds, tf.cast(positions, tf.int64)], axis=1)
            inputs, targets = augment(inputs, targets, seeds)
        return (inputs, targets) if weigh is None else (inputs, targets, weigh(targets))

    return load


def _rows_of_epoch(split: ImageSplit, recipe: Recipe, epoch: tf.Tensor) -> tf.Tensor:
    if recipe.data.sampling == "none":
        return tf.range(len(split), dtype=tf.int64)

    def chosen(epoch: np.ndarray) -> np.ndarray:
        return chosen_images(split, recipe.data, seed=recipe.seed, epoch=int(epoch))

    return tf.ensure_shape(tf.numpy_function(chosen, [epoch], tf.int64), (images_per_epoch(split, recipe.data),))


def _rows(rows: tf.Tensor, targets: Targets) -> tf.Tensor:
    if isinstance(targets, np.ndarray):
        return tf.gather(targets, rows)
    read = tf.numpy_function(targets.__getitem__, [rows], tf.as_dtype(targets.dtype))
    return tf.ensure_shape(read, (None, *targets.shape[1:]))


def _inputs(images: Images | FeatureMaps, rows: tf.Tensor) -> tf.Tensor | tuple[tf.Tensor, ...]:
    if isinstance(images, FeatureMaps):
        maps = tf.numpy_function(images.take, [rows], images.dtypes)
        return tuple(tf.ensure_shape(map_, (None, *shape)) for map_, shape in zip(maps, images.shapes, strict=True))
    pixels = tf.ensure_shape(tf.numpy_function(images.take, [rows], tf.uint8), (None, *images.shape))
    return tf.cast(pixels, tf.float32)
