"""Functions of the user as steps of an augmentation: called for one image at a time, their results checked.

`function(image, target, rng)` returns an image and a target like those it gets:

- `image`: float32 `(height, width, channels)`, in the pixel range of the dataset, which it must not leave.
- `target`: what the task trains on: a class index, or one share for each class where the list also mixes images; 0 or 1
  for each label; numbers; or a mask, int32 `(height, width)`, with -1 for pixels without a class, which must move as
  the image does. A dict of them by output for several.
- `rng`: `numpy.random.Generator`, the only source of random numbers: it depends on the seed of the recipe, the epoch
  and the image, so that a resumed run continues as if it had never stopped.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ...core.arguments import received
from ...core.errors import InputError, first_line
from ...core.outputs import by_name
from ...tasks.registry import get_task
from ..data.images import ImageSplit
from ..data.pixel_format import from_raw, to_raw
from ..recipe.augmentation import Function, Transformation
from ..recipe.user_functions import name_of

CallFunction = Callable[..., list[np.ndarray]]
"""Function of the index of a step, images in 0..255, seeds `(batch, 2)` and the targets of each output, in alphabetical
order; returns the images and the targets."""
ROUNDING = 1e-5
"""By what share of the range values may leave it: these are clipped."""


def caller(steps: tuple[Transformation, ...], split: ImageSplit) -> CallFunction | None:
    """Return the function that calls the functions of the user among the steps of an augmentation; None without any.

    Args:
        steps: All transformations.
        split: What is augmented: its pixel range, and what its targets are.
    """
    if not any(isinstance(step, Function) for step in steps):
        return None
    low, high = split.pixel_range
    tasks, names = by_name(split.tasks), {} if split.names is None else by_name(split.names)
    has_names = isinstance(split.labels, dict)

    def call(index: np.ndarray, images: np.ndarray, seeds: np.ndarray, *targets: np.ndarray) -> list[np.ndarray]:
        step = steps[int(index)]
        assert isinstance(step, Function)
        name = f"the augmentation function {name_of(step.function)}"
        images, changed = images.copy(), [rows.copy() for rows in targets]
        for row, seed in enumerate(seeds):
            image = from_raw(images[row], split.pixel_range).clip(low, high).astype("float32")
            own = {output: rows[row].copy() for output, rows in zip(sorted(tasks), targets, strict=True)}
            rng = np.random.default_rng([*seed.tolist(), int(index)])
            result, target = _call(step.function, name, image, own if has_names else own[""], rng)
            images[row] = to_raw(_checked_image(result, images[row].shape, name, (low, high)), (low, high))
            for rows, output in zip(changed, sorted(tasks), strict=True):
                rows[row] = _checked_target(
                    target[output] if has_names else target,
                    own[output],
                    name,
                    tasks[output],
                    len(names[output]) if names else None,
                )
        return [images.clip(0, 255), *changed]

    return call


def _call(function: Callable[..., Any], name: str, image: np.ndarray, target: Any, rng: np.random.Generator) -> Any:
    """Return what a function of the user returns, which are two values, the second a dict if it gets one."""
    try:
        result = function(image, target, rng)
    except Exception as error:
        raise InputError(f"{name} failed with {type(error).__name__}: {first_line(error)}.") from error
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise InputError(
            f"{name} returned {received(result)}; it takes (image, target, rng) and returns (image, target)."
        )
    if isinstance(target, dict) and not (isinstance(result[1], dict) and result[1].keys() == target.keys()):
        raise InputError(f"{name} returned {received(result[1])} as targets; it returns a dict of {', '.join(target)}.")
    return result


def _checked_image(image: Any, shape: tuple[int, ...], name: str, limits: tuple[float, float]) -> np.ndarray:
    image = np.asarray(image)
    if image.shape != shape or image.dtype.kind != "f":
        raise InputError(
            f"{name} returned an image of {image.dtype} and the shape {image.shape}; it returns float32 of {shape}."
        )
    if not np.isfinite(image).all():
        raise InputError(f"{name} returned an image with values that are NaN or infinite.")
    low, high = limits
    slack = ROUNDING * (high - low)
    if image.min() < low - slack or image.max() > high + slack:
        raise InputError(
            f"{name} returned pixels from {image.min():g} to {image.max():g}; clip them to {low:g}..{high:g}, the "
            "range of the data."
        )
    return image


def _checked_target(target: Any, before: np.ndarray, name: str, task_name: str, count: int | None) -> np.ndarray:
    target, task = np.asarray(target), get_task(task_name)
    if target.shape != before.shape or not np.can_cast(target.dtype, before.dtype, "same_kind"):
        raise InputError(
            f"{name} returned a target of {target.dtype} and the shape {target.shape}; it returns {before.dtype} of "
            f"{before.shape}, as it gets."
        )
    if not np.isfinite(target).all():
        raise InputError(f"{name} returned a target with values that are NaN or infinite.")
    is_mixed = before.dtype.kind == "f"
    wrong = None if is_mixed else task.class_out_of_range(task.without_void(target, task.void), count)
    if wrong is not None:
        end = "on" if count is None else f"to {count - 1}"
        raise InputError(f"{name} returned the class {wrong}; classes go from 0 {end}.")
    return target
