"""Gradient check: the gradients that training computes, compared with finite differences of the loss.

The rounding error of the loss is measured by second differences so small that they consist of rounding alone:
TensorFlow's bilinear resizing, for one, always computes in float32. The step size follows from the rounding error; it
is 1e-6 where everything is float64.

Finite differences are valid where the function is smooth within the step. ReLU and max-pooling have kinks. So short a
step rarely contains one, and kinks are detected: for a smooth function, the central differences of a step and of half
the step agree, and the one-sided slopes approach each other when the step is halved. A kink inside the step violates
the first condition, a kink at the point itself the second. Entries with a kink have no derivative to compare with: they
are counted, and other entries are checked in their place.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ..core.arguments import Count, Seed, check_arguments
from ..core.errors import InputError, first_line
from ..core.keras_private import all_layers
from ..core.short_repr import ShortRepr

NUDGE = 1e-8
"""Change so small that the second difference of a smooth float64 function is rounding error only."""
EPSILON = 8 * float(np.finfo("float64").eps)
"""Minimum of the assumed rounding error, relative to the loss."""
SMOOTH = 1e-6
"""Relative tolerance within which differences of a smooth function agree."""


@dataclass(frozen=True)
class GradientCheck(ShortRepr):
    """Result for one weight or one input."""

    shape: tuple[int, ...]
    checked: int
    """Entries whose gradients were compared."""
    kinks: int
    """Entries that were skipped because the loss is not smooth there."""
    relative_error: float | None
    """||a - n|| / (||a|| + ||n||) for the analytical and the numerical gradient of these entries, 0..1, where the
    rounding error is subtracted from the difference. None if no entry could be compared."""


@dataclass(frozen=True)
class GradientReport(ShortRepr):
    """Result of `check_gradients`."""

    checks: dict[str, GradientCheck]
    """Result by path of the weight, and by `input`, or `input 0` and so on for several inputs."""
    rounding: float
    """Rounding error relative to the loss; about 1e-15 in float64 and 1e-7 in float32."""

    @property
    def largest_error(self) -> float | None:
        """The largest relative error; None if some weight or input could not be compared at all."""
        errors = [check.relative_error for check in self.checks.values() if check.relative_error is not None]
        return float(np.max(errors)) if len(errors) == len(self.checks) else None  # unlike max, it propagates NaN


@check_arguments
def check_gradients(
    model: keras.Layer,
    images: Any,
    targets: Any = None,
    *,
    loss: Callable[[Any, Any], Any] | None = None,
    training: bool = False,
    entries: Count = 8,
    seed: Seed = 0,
) -> GradientReport:
    """Compare the analytical gradients of `model` with central differences, in float64.

    The model is not changed: a float64 copy of it is checked. Random layers, such as dropout, draw the same numbers in
    every call. Where everything is computed in float64, correct gradients have a relative error of at most 1e-6. Where
    the report's `rounding` is that of float32, single layers are checked as precisely, but the first layers of a deep
    network only to a few percent; the same holds if BatchNormalization has only two values per channel in training.

    Args:
        model: A model, or any layer. New weights are a poor point for a check: with zero biases, ReLUs are at their
            kinks wherever the image is black.
        images: Input array of shape `(batch, ...)`, or a list of arrays for a layer with several inputs.
        targets: Targets for `loss`. Without targets, a random weighted sum of all outputs is differentiated, which
            depends on each of them.
        loss: Function of targets and outputs that computes in float64, such as `keras.losses.Dice(dtype="float64")`.
        training: Call the model in training mode, with BatchNormalization on the statistics of the batch.
        entries: Entries of each weight to compare, selected at random if it has more.
        seed: Seed for selecting the entries and for the weights of the sum.

    Raises:
        InputError: Only one of `targets` and `loss` is given, the loss is float32, or the loss is not finite.
    """
    _check_loss(targets, loss)
    loss_of_outputs = partial(_random_sum, seed) if loss is None else partial(loss, targets)
    try:
        function = _LossFunction(model, images, loss_of_outputs, training)
        size, gradients = function.gradients()
    except InputError:
        raise
    except Exception as error:  # anything that layers and losses raise for arrays that do not fit
        raise InputError(f"{model.name} cannot be computed on these images: {first_line(error)}") from error
    if not np.isfinite(size):
        raise InputError(f"{model.name}: the loss of these images is {size}; it has no gradient to check.")
    random = np.random.default_rng(seed)
    rounding = max(4 * _rounding_error(function, random) / size if size else 0.0, EPSILON)
    differences = _Differences(step=rounding**0.4, noise=rounding * size)
    checks = {
        name: _check(partial(function.with_point, number), point, gradient, entries, differences, random)
        for number, (name, point, gradient) in enumerate(zip(function.names, function.points, gradients, strict=True))
    }
    return GradientReport(checks, rounding)


def _check_loss(targets: Any, loss: Callable[[Any, Any], Any] | None) -> None:
    if (targets is None) != (loss is None):
        raise InputError("check_gradients requires targets and loss together, or neither.")
    if isinstance(loss, keras.losses.Loss) and loss.dtype != "float64":
        raise InputError(
            f"loss {loss.name} computes in {loss.dtype}, too coarse for differences; create it with dtype='float64'."
        )


class _LossFunction:
    """The loss as a function of the inputs and the trainable weights of a float64 copy of the layer."""

    def __init__(self, layer: keras.Layer, images: Any, loss: Callable[[Any], tf.Tensor], training: bool):
        several = isinstance(images, list)
        inputs = [np.asarray(array, "float64") for array in (images if several else [images])]
        copy = _in_float64(layer, [part.shape for part in inputs] if several else inputs[0].shape)
        trained, fixed = copy.trainable_variables, copy.non_trainable_variables
        state = [tf.convert_to_tensor(weight) for weight in fixed]
        names = [f"input {number}" for number in range(len(inputs))] if several else ["input"]
        self.names = names + [weight.path for weight in trained]
        self.points = inputs + [weight.numpy() for weight in trained]

        @tf.function
        def terms(*points: tf.Tensor) -> tf.Tensor:
            arrays, weights = list(points[: len(inputs)]), points[len(inputs) :]
            with keras.StatelessScope(zip(trained + fixed, [*weights, *state], strict=True)):
                return tf.reshape(loss(copy(arrays if several else arrays[0], training=training)), [-1])

        self._terms = terms
        self._tensors = [tf.constant(point) for point in self.points]

    def __call__(self, *points: np.ndarray | tf.Tensor) -> float:
        """Return the loss at these points."""
        return float(tf.reduce_sum(self._terms(*map(tf.convert_to_tensor, points))))

    def with_point(self, number: int, point: np.ndarray) -> float:
        """Return the loss with one of the points replaced."""
        return self(*self._tensors[:number], point, *self._tensors[number + 1 :])

    def gradients(self) -> tuple[float, list[np.ndarray]]:
        """Return the sum of the absolute terms of the loss, and the gradient of the loss at every point."""
        with tf.GradientTape() as tape:
            tape.watch(self._tensors)
            terms = self._terms(*self._tensors)
        gradients = tape.gradient(terms, self._tensors, unconnected_gradients="zero")
        return float(tf.reduce_sum(tf.abs(terms))), [gradient.numpy() for gradient in gradients]


def _in_float64(layer: keras.Layer, shapes: Any) -> keras.Layer:
    """Return a copy with the same weights that computes in float64 throughout."""

    def rebuild(part: keras.Layer) -> keras.Layer:
        return type(part).from_config(part.get_config() | {"dtype": "float64"})

    if isinstance(layer, keras.Model):
        original = layer.inputs[0] if isinstance(layer, keras.Sequential) else layer.input
        inputs = keras.tree.map_structure(lambda each: keras.Input(batch_shape=each.shape, dtype="float64"), original)
        copy = keras.models.clone_model(layer, input_tensors=inputs, clone_function=rebuild)
    else:
        copy = rebuild(layer)
        copy.build(shapes)
    for part in all_layers(copy, include_self=True):
        part.dtype_policy = "float64"  # heads compute in float32 whatever the policy
    if layer.built:
        copy.set_weights(layer.get_weights())
    return copy


def _random_sum(seed: int, outputs: Any) -> tf.Tensor:
    """Return every output times a random number: the terms of a sum whose gradient depends on all outputs."""
    random = np.random.default_rng(seed)
    return tf.concat([tf.reshape(part * random.normal(size=part.shape), [-1]) for part in tf.nest.flatten(outputs)], 0)


def _rounding_error(function: _LossFunction, random: np.random.Generator) -> float:
    """Return the rounding error of the loss: the largest second difference over a few tiny moves of all points."""
    here, errors = function(*function.points), []
    for _ in range(4):
        moves = [NUDGE * random.choice([-1, 1], p.shape) * np.maximum(1, np.abs(p)) for p in function.points]
        ahead, behind = (
            function(*(point + sign * move for point, move in zip(function.points, moves, strict=True)))
            for sign in (1, -1)
        )
        errors.append(abs(ahead - 2 * here + behind))
    return float(np.max(errors))


@dataclass(frozen=True)
class _Differences:
    """Finite differences of a function of one number, at 0."""

    step: float
    noise: float
    """Rounding error of the function's values."""

    def slope(self, function: Callable[[float], float], scale: float) -> float | None:
        """Return the central difference over `step * scale`; None if the function is not smooth within that."""
        here, step = function(0.0), self.step * scale
        (right, left), (near_right, near_left) = (
            ((function(by) - here) / by, (here - function(-by)) / by) for by in (step, step / 2)
        )
        allowed = SMOOTH * max(abs(right), abs(left)) + 4 * self.noise / step
        agree = abs((right + left) - (near_right + near_left)) / 2 <= allowed
        closer = abs(near_right - near_left) <= 0.75 * abs(right - left) + allowed
        return (right + left) / 2 if agree and closer else None

    def relative_error(self, analytical: np.ndarray, numerical: np.ndarray) -> float:
        """Return ||a - n|| / (||a|| + ||n||), where the rounding error is subtracted from the difference."""
        rounding = self.noise / self.step * len(numerical) ** 0.5
        difference = float(np.maximum(0.0, np.linalg.norm(analytical - numerical) - rounding))
        return difference / float(np.linalg.norm(analytical) + np.linalg.norm(numerical)) if difference else 0.0


def _check(
    loss_at: Callable[[np.ndarray], float],
    point: np.ndarray,
    gradient: np.ndarray,
    entries: int,
    differences: _Differences,
    random: np.random.Generator,
) -> GradientCheck:
    """Compare entries in random order until enough of them are smooth, or four times as many have been tried."""
    slopes: dict[int, float | None] = {}
    for entry in random.permutation(point.size)[: 4 * entries].tolist():

        def loss_beside(distance: float, entry: int = entry) -> float:
            moved = point.copy()
            moved.flat[entry] += distance
            return loss_at(moved)

        slopes[entry] = differences.slope(loss_beside, max(1.0, abs(point.flat[entry])))
        if len(slopes) - list(slopes.values()).count(None) == entries:
            break
    numerical = {entry: slope for entry, slope in slopes.items() if slope is not None}
    error = differences.relative_error(gradient.flat[list(numerical)], np.array(list(numerical.values())))
    return GradientCheck(point.shape, len(numerical), len(slopes) - len(numerical), error if numerical else None)
