"""Augmentation policies by name, on Keras' own layers with explicit seeds."""

from collections.abc import Callable
from functools import partial

import keras
from keras import layers

from .outputs import map_outputs

Augment = Callable[[object, object, object], tuple[object, object]]
"""(float32 images `(batch, height, width, channels)` in 0..255, targets, seed `(2,)`) to images and targets of the same
shapes. Targets that are masks, `(batch, height, width)`, move as their images do; of several by name those that are."""


def augmenter(policy: str) -> Augment | None:
    """The function of the policy called `policy`, or None for `"none"`. The same seed gives the same images."""
    if policy == "none":
        return None
    steps = POLICIES[policy]()

    def augment(images, targets, seed):
        given = _GivenSeed(seed)
        for step in steps:
            transformation = step.get_random_transformation(images, training=True, seed=given)
            images = step.transform_images(images, transformation, training=True)
            targets = map_outputs(partial(_moved, step, transformation), targets)
        return images, targets

    return augment


def _moved(step: keras.Layer, transformation, target):
    if len(target.shape) != 3:
        return target
    mask = keras.ops.cast(target, "float32")[..., None]
    moved = step.transform_segmentation_masks(mask, transformation, training=True)  # to the nearest pixel
    return keras.ops.cast(keras.ops.round(moved[..., 0]), target.dtype)


def _light() -> list[keras.Layer]:
    return [
        layers.RandomTranslation(0.08, 0.08, fill_mode="nearest"),
        layers.RandomRotation(0.03, fill_mode="nearest"),
        layers.RandomZoom((-0.1, 0.1), (-0.1, 0.1), fill_mode="nearest"),
    ]


POLICIES = {"light": _light}


class _GivenSeed(keras.random.SeedGenerator):
    """Draws from a seed that is handed in, where Keras' own keeps a counter of how often it was asked."""

    def __init__(self, seed):
        self._seed = keras.ops.cast(seed, "uint32")
        self._draws = 0

    def next(self, ordered=True):
        self._draws += 1
        # Each draw is a step away in the word that the seed of the run stands in, where no batch number reaches.
        return self._seed + keras.ops.convert_to_tensor([0x9E3779B9 * self._draws % 2**32, 0], "uint32")
