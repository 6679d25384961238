"""tf.data streams whose order and augmentation depend on (seed, epoch) alone, whatever the parallelism."""

import math

import tensorflow as tf

from ..augmentation import augmenter
from ..outputs import map_outputs
from ..recipe.recipe import Recipe
from .feature_maps import FeatureMaps
from .images import Images, ImageSplit, Targets
from .masks import FileMasks


def steps_per_epoch(split: ImageSplit, recipe: Recipe) -> int:
    """Batches in an epoch; the last may be smaller."""
    return math.ceil(len(split) / recipe.batch_size)


def training_batches(split: ImageSplit, recipe: Recipe, *, first_epoch: int = 0) -> tf.data.Dataset:
    """Batches of (float32 pixels, targets), shuffled and augmented anew each epoch, from `first_epoch` to the end.

    Started at epoch 7, it gives what a stream started at 0 gives from there: that is what `resume` rests on.
    """
    augment = augmenter(recipe.augmentation)

    def epoch_order(epoch):
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(split)), seed=[recipe.seed, tf.cast(epoch, tf.int32)]
        )
        batches = tf.data.Dataset.from_tensor_slices(order).batch(recipe.batch_size).enumerate()
        return batches.map(lambda number, indices: (epoch * steps_per_epoch(split, recipe) + number, indices))

    def load(step, indices):
        images, labels = _take(split, indices)
        if augment is None:
            return images, labels
        return augment(images, labels, tf.stack([recipe.seed, tf.cast(step, tf.int32)]))

    epochs = tf.data.Dataset.range(first_epoch, recipe.epochs)
    batches = epochs.flat_map(epoch_order).map(load, num_parallel_calls=tf.data.AUTOTUNE)
    return batches.prefetch(tf.data.AUTOTUNE)


def evaluation_batches(split: ImageSplit, batch_size: int) -> tf.data.Dataset:
    """Batches of (float32 pixels, targets) in the split's own order."""
    indices = tf.data.Dataset.range(len(split)).batch(batch_size)
    return indices.map(lambda i: _take(split, i), num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def _take(split: ImageSplit, indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | dict[str, tf.Tensor]]:
    return _inputs(split.images, indices), map_outputs(lambda targets: _rows(targets, indices), split.labels)


def _rows(targets: Targets, indices: tf.Tensor) -> tf.Tensor:
    if isinstance(targets, FileMasks):
        masks = tf.numpy_function(targets.__getitem__, [indices], tf.int32)
        return tf.ensure_shape(masks, (None, *targets.shape[1:]))
    return tf.gather(targets, indices)


def _inputs(images: Images | FeatureMaps, indices: tf.Tensor) -> tf.Tensor | tuple[tf.Tensor, ...]:
    if isinstance(images, FeatureMaps):
        maps = tf.numpy_function(images.take, [indices], images.dtypes)
        return tuple(tf.ensure_shape(map_, (None, *shape)) for map_, shape in zip(maps, images.shapes, strict=True))
    pixels = tf.ensure_shape(tf.numpy_function(images.take, [indices], tf.uint8), (None, *images.shape))
    return tf.cast(pixels, tf.float32)
