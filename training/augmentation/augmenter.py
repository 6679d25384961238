"""The augmentation of a recipe as a function of batches; an image with the same seed changes alike in every batch."""

from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any

import tensorflow as tf

from ...core.outputs import map_outputs
from ...tasks.registry import get_task
from ..recipe.augmentation import Augmentation, Color, Erase, RandAugment, transformations
from .affine import AXIS_ALIGNED, MATRICES, crop_and_resize, resample
from .color import erase, jitter_color
from .mixing import MIXERS
from .rand_augment import random_matrices, random_photometry
from .random_stream import RandomStream, random_numbers

GEOMETRIC: dict[type, Callable[..., tf.Tensor]] = MATRICES | {RandAugment: random_matrices}
PHOTOMETRIC: dict[type, Callable[..., tf.Tensor]] = {Color: jitter_color, Erase: erase, RandAugment: random_photometry}

Augment = Callable[[tf.Tensor, Any, tf.Tensor], tuple[tf.Tensor, Any]]
"""Function of float32 images `(batch, height, width, channels)` in 0..255, targets, and int64 seeds of the images
`(batch, 2)`. It returns images and targets of the same shapes; masks, for one, move as their images."""


def make_augmenter(
    augmentation: Augmentation, tasks: str | dict[str, str] | None = None, *, has_void: bool = False
) -> Augment | None:
    """Return the function that applies the transformations of a policy or a list; None if there are none.

    `tasks` names the task of each output, whose targets follow the images; without it, targets do not change.
    Where masks have pixels without a class (`has_void`), so have those from outside of the image.
    For transformations that mix images, the targets must be in the form that `mixing.mixable` returns.
    """
    steps = transformations(augmentation)
    if not steps:
        return None
    move = crop_and_resize if {type(step) for step in steps if type(step) in GEOMETRIC} <= AXIS_ALIGNED else resample

    def select(functions: dict[type, Callable[..., Any]], numbers: Sequence[tf.Tensor]) -> list[Callable[..., Any]]:
        """Return the functions of those steps that have one, in order, each with a new stream of its numbers."""
        return [
            partial(functions[type(step)], step, RandomStream(own))
            for step, own in zip(steps, numbers, strict=True)
            if type(step) in functions
        ]

    def augment(images: tf.Tensor, targets: Any, seeds: tf.Tensor) -> tuple[tf.Tensor, Any]:
        numbers = random_numbers(seeds, len(steps))
        if matrices := [matrix(images.shape[1:3]) for matrix in select(GEOMETRIC, numbers)]:
            product = reduce(tf.matmul, matrices)
            images = move(images, product, "bilinear")
            if tasks is not None:
                targets = map_outputs(partial(_move_targets, move, product, has_void), tasks, targets)
        for change_color in select(PHOTOMETRIC, numbers):
            images = change_color(images)
        for mix in select(MIXERS, numbers):
            images, targets = mix(images, targets)
        return images, targets

    return augment


def _move_targets(move: Callable[..., tf.Tensor], matrices: tf.Tensor, has_void: bool, task: str, targets: Any) -> Any:
    warp = partial(move, matrices=matrices, fill=get_task(task).void if has_void else None)
    return get_task(task).warp_targets(targets, warp)
