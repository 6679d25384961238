"""The augmentation of a recipe as a function of batches; an image with the same seed changes alike in every batch."""

from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any

import tensorflow as tf

from ...core.errors import InputError
from ...core.outputs import map_outputs
from ...tasks.registry import get_task
from ..data.images import Shape
from ..data.stream_functions import called_weakly
from ..recipe.augmentation import (
    Augmentation,
    Color,
    Erase,
    Function,
    Mosaic,
    Noise,
    RandAugment,
    Transformation,
    transformations,
)
from .affine import AXIS_ALIGNED, MATRICES, AffineWarp, Sides, crop_and_resize, resample
from .color import add_noise, erase, jitter_color
from .mixing import MIXERS
from .mosaic import mosaic
from .rand_augment import random_matrices, random_photometry
from .random_stream import RandomStream, random_numbers
from .user_functions import CallFunction

GEOMETRIC: dict[type, Callable[..., tf.Tensor]] = MATRICES | {RandAugment: random_matrices}
PHOTOMETRIC: dict[type, Callable[..., tf.Tensor]] = {
    Color: jitter_color,
    Erase: erase,
    Noise: add_noise,
    RandAugment: random_photometry,
}

Augment = Callable[[tf.Tensor, Any, tf.Tensor], tuple[tf.Tensor, Any]]
"""Function of float32 images `(batch, height, width, channels)` in 0..255, targets, and int64 seeds of the images
`(batch, 2)`. It returns images and targets of the same shapes; masks, for one, move as their images."""


def make_augmenter(
    augmentation: Augmentation,
    tasks: str | dict[str, str] | None = None,
    *,
    names: Any = None,
    has_void: bool = False,
    call: CallFunction | None = None,
) -> Augment | None:
    """Return the function that applies the transformations of a policy or a list; None if there are none.

    Args:
        augmentation: The policy or list.
        tasks: Task of each output, whose targets follow the images; without it, targets do not change. For
            transformations that mix images, they must be in the form that `mixing.mixable` returns.
        names: Names of the classes, labels or values of each output; None where they are not known.
        has_void: Whether masks have pixels without a class; then so have those from outside of the image.
        call: Calls functions of the user, from `user_functions.caller`; the caller of this function keeps it alive.
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
        if len(images.shape) == 3:  # signals, as images of one row
            targets = targets if tasks is None else map_outputs(_add_row, tasks, targets)
            rows, targets = augment(images[:, tf.newaxis], targets, seeds)
            return rows[:, 0], targets if tasks is None else map_outputs(_remove_row, tasks, targets)
        numbers = random_numbers(seeds, len(steps))
        if matrices := [matrix(images.shape[1:3]) for matrix in select(GEOMETRIC, numbers)]:
            product = reduce(tf.matmul, matrices)
            images = move(images, product, "bilinear")
            if tasks is not None:
                sides = (images.shape[1], images.shape[2])
                labels = map_outputs(lambda task: (), tasks) if names is None else names
                targets = map_outputs(partial(_move_targets, move, product, sides, has_void), tasks, targets, labels)
        for index, (step, own) in enumerate(zip(steps, numbers, strict=True)):
            if isinstance(step, Function):
                images, targets = _call_function(index, call, images, targets, seeds)
            elif type(step) in PHOTOMETRIC:
                images = PHOTOMETRIC[type(step)](step, RandomStream(own), images)
        for mix in select(MIXERS, numbers):
            images, targets = mix(images, targets)
        for join in select({Mosaic: mosaic}, numbers):
            images, targets = join(images, targets, tasks)
        return images, targets

    return augment


def check_dimensions(steps: Sequence[Transformation], shape: Shape) -> None:
    """Raise InputError where transformations have no meaning for signals or volumes of this shape."""
    if len(shape) == 4 and steps:
        raise InputError(f"augmentation {steps[0].name} is for images, and the data has volumes; set it to 'none'.")
    if len(shape) == 2 and any(isinstance(step, RandAugment) for step in steps):
        raise InputError("augmentation randaugment is for images, and the data has signals; 'signal' is for them.")


def _add_row(task: str, targets: Any) -> Any:
    return targets[:, tf.newaxis] if get_task(task).covers_image else targets


def _remove_row(task: str, targets: Any) -> Any:
    return targets[:, 0] if get_task(task).covers_image else targets


def _call_function(
    index: int, call: CallFunction | None, images: tf.Tensor, targets: Any, seeds: tf.Tensor
) -> tuple[tf.Tensor, Any]:
    """Return images and targets from the function of the user that is the step at `index`."""
    assert call is not None
    before = [images, *tf.nest.flatten(targets)]
    arguments = [index, images, seeds, *before[1:]]
    after = tf.numpy_function(called_weakly(call), arguments, [tensor.dtype for tensor in before])
    shaped = [tf.ensure_shape(tensor, like.shape) for tensor, like in zip(after, before, strict=True)]
    return shaped[0], tf.nest.pack_sequence_as(targets, shaped[1:])


def _move_targets(
    move: Callable[..., tf.Tensor],
    matrices: tf.Tensor,
    sides: Sides,
    has_void: bool,
    task_name: str,
    targets: Any,
    labels: Sequence[str],
) -> Any:
    task = get_task(task_name)
    warp = AffineWarp(partial(move, fill=task.void if has_void else None), matrices, sides)
    return task.mirror_targets(task.warp_targets(targets, warp), warp.mirrored(), labels)
