"""The augmentation of a recipe, made of batches: the same seed gives an image the same change in every batch."""

from collections.abc import Callable
from functools import partial, reduce
from typing import Any

import tensorflow as tf

from ...core.outputs import map_outputs
from ..recipe.augmentation import Augmentation, Colour, Erase, RandAugment, transformations
from .colour import colour, erase
from .draws import Draws, draw
from .geometry import INSIDE, MATRICES, cut_out, resample
from .mixing import MIXERS
from .rand_augment import randomly_coloured, randomly_moved

MOVING = MATRICES | {RandAugment: randomly_moved}
COLOURING = {Colour: colour, Erase: erase, RandAugment: randomly_coloured}

Augment = Callable[[tf.Tensor, Any, tf.Tensor], tuple[tf.Tensor, Any]]
"""(float32 images `(batch, height, width, channels)` in 0..255, targets, int64 seeds of the images `(batch, 2)`) to
images and targets of the same shapes. Targets that are masks, `(batch, height, width)`, move as their images do."""


def augmenter(augmentation: Augmentation) -> Augment | None:
    """The function that makes the transformations of a policy or a list, or None where there are none.

    Where some of them mix images, targets are what `mixing.mixable` gives.
    """
    steps = transformations(augmentation)
    if not steps:
        return None
    move = cut_out if {type(step) for step in steps if type(step) in MOVING} <= INSIDE else resample

    def made_by(makers: dict[type, Callable], numbers: list[tf.Tensor]) -> list[Callable]:
        """Those steps that have a maker here, in their order. Each begins its random numbers anew."""
        pairs = zip(steps, numbers, strict=True)
        return [partial(makers[type(step)], step, Draws(own)) for step, own in pairs if type(step) in makers]

    def augment(images: tf.Tensor, targets: Any, seeds: tf.Tensor) -> tuple[tf.Tensor, Any]:
        numbers = draw(seeds, len(steps))
        if matrices := [matrix(images.shape[1:3]) for matrix in made_by(MOVING, numbers)]:
            product = reduce(tf.matmul, matrices)
            images = move(images, product, "bilinear")
            targets = map_outputs(partial(_moved, partial(move, matrices=product)), targets)
        for recolour in made_by(COLOURING, numbers):
            images = recolour(images)
        for mix in made_by(MIXERS, numbers):
            images, targets = mix(images, targets)
        return images, targets

    return augment


def _moved(move: Callable[..., tf.Tensor], target: tf.Tensor) -> tf.Tensor:
    """A mask as its image is; anything else as it was."""
    return move(target[..., None], interpolation="nearest")[..., 0] if len(target.shape) == 3 else target
