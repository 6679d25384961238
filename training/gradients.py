"""Whether a layer's gradients are right: those that training computes, held against differences of its answers.

How exactly the answers are computed is measured, by second differences so small that only rounding is left of them:
TensorFlow's bilinear resizing, for one, knows float32 alone. The step follows from that, 1e-6 where all is float64.

Differences tell the derivative where the function is smooth across the step. ReLU and max-pooling have kinks. So short
a step rarely meets one, and where it does this is seen: of a smooth function the central differences of a step and of
half of it agree, and the slopes to the left and to the right come closer as the step is halved. A kink within the step
spoils the first, one at the very point the second. Such entries have no derivative to be compared with: they are
counted, and others are taken in their place.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ..core.errors import InputError

NUDGE = 1e-8
"""So small a change that the second difference of a smooth float64 function is nothing but rounding."""
EPSILON = 8 * float(np.finfo("float64").eps)
"""Rounding that is reckoned with in any case, as a share of the answers."""
SMOOTH = 1e-6
"""Differences of a smooth function agree to this share of themselves."""


@dataclass(frozen=True)
class GradientCheck:
    """What was found of one weight, or of an input."""

    shape: tuple[int, ...]
    checked: int
    """Entries that were compared."""
    kinks: int
    """Entries that were passed over because the function is not smooth there."""
    relative_error: float | None
    """||a - n|| / (||a|| + ||n||) of analytical and numerical gradient over these entries, 0..1; what rounding accounts
    for is taken off the difference. None where no entry could be compared."""


@dataclass(frozen=True)
class GradientReport:
    """What `check_gradients` found."""

    checks: dict[str, GradientCheck]
    """By path of the weight; `input`, or `input 0` and so on, for what the layer is called on."""
    rounding: float
    """How exactly the answers are computed, as a share of them; about 1e-15 in float64 and 1e-7 in float32."""

    @property
    def largest_error(self) -> float | None:
        """The largest relative error; None where some weight could not be compared at all."""
        errors = [check.relative_error for check in self.checks.values()]
        return None if None in errors else max(errors)


def check_gradients(
    model: keras.Layer,
    images: Any,
    targets: Any = None,
    *,
    loss: Callable[[Any, Any], Any] | None = None,
    training: bool = False,
    entries: int = 8,
    seed: int = 0,
) -> GradientReport:
    """Compares the analytical gradients of `model` with central differences, in float64.

    The model stays as it is: a copy of it in float64 is checked. What is random in training, such as dropout, is drawn
    alike each time. Where all is computed in float64, right gradients have a relative error of 1e-6 at most; where the
    report's `rounding` is that of float32, one layer is checked as well, but the first layers of a deep network only
    to a few percent. So it is where two images leave BatchNormalization two numbers a channel in training.

    Args:
        model: A model, or any layer. Fresh weights are a poor point: with biases of 0, ReLUs stand on their kinks
            wherever the image is black.
        images: What to call it on, an array of shape `(batch, ...)`, or a list of them for a layer of several inputs.
        targets: What `loss` holds the answers against. Without it a random weighted sum of all answers is
            differentiated, which an error in any of them changes.
        loss: Of targets and answers, computed in float64, such as `keras.losses.Dice(dtype="float64")`.
        training: Whether to call it as in training, with BatchNormalization on the statistics of the batch.
        entries: How many numbers of each weight to compare, drawn at random where it has more.
        seed: Of this choice and of the random sum.

    Raises:
        InputError: Only one of `targets` and `loss` is given, the loss is of float32, or the loss is not finite.
    """
    _check_loss(targets, loss)
    judge = partial(_weighted, seed) if loss is None else partial(loss, targets)
    function = _Function(model, images, judge, training)
    size, gradients = function.gradients()
    if not np.isfinite(size):
        raise InputError(f"{model.name}: the loss of these images is {size}; it has no gradient to check.")
    random = np.random.default_rng(seed)
    rounding = max(4 * _rounding(function, random) / size if size else 0.0, EPSILON)
    differences = _Differences(step=rounding**0.4, noise=rounding * size)
    checks = {
        name: _check(partial(function.moved, number), point, gradient, entries, differences, random)
        for number, (name, point, gradient) in enumerate(zip(function.names, function.points, gradients, strict=True))
    }
    return GradientReport(checks, rounding)


def _check_loss(targets: Any, loss: Callable | None) -> None:
    if (targets is None) != (loss is None):
        raise InputError("check_gradients takes targets and loss together, or neither.")
    if isinstance(loss, keras.losses.Loss) and loss.dtype != "float64":
        raise InputError(
            f"loss {loss.name} computes in {loss.dtype}, too coarse for differences; give dtype='float64'."
        )


class _Function:
    """The loss as a function of what goes into a float64 copy of the layer and of its trainable weights."""

    def __init__(self, layer: keras.Layer, images: Any, judge: Callable[[Any], tf.Tensor], training: bool):
        several = isinstance(images, list)
        inputs = [np.asarray(array, "float64") for array in (images if several else [images])]
        copy = _in_float64(layer, [part.shape for part in inputs] if several else inputs[0].shape)
        trained, fixed = copy.trainable_variables, copy.non_trainable_variables
        state = [tf.convert_to_tensor(weight) for weight in fixed]
        names = [f"input {number}" for number in range(len(inputs))] if several else ["input"]
        self.names = names + [weight.path for weight in trained]
        self.points = inputs + [weight.numpy() for weight in trained]

        @tf.function
        def terms(*points):
            given, weights = list(points[: len(inputs)]), points[len(inputs) :]
            with keras.StatelessScope(zip(trained + fixed, [*weights, *state], strict=True)):
                return tf.reshape(judge(copy(given if several else given[0], training=training)), [-1])

        self._terms = terms
        self._tensors = [tf.constant(point) for point in self.points]

    def __call__(self, *points: np.ndarray | tf.Tensor) -> float:
        """The loss at these points."""
        return float(tf.reduce_sum(self._terms(*map(tf.convert_to_tensor, points))))

    def moved(self, number: int, point: np.ndarray) -> float:
        """The loss where one of the points is another."""
        return self(*self._tensors[:number], point, *self._tensors[number + 1 :])

    def gradients(self) -> tuple[float, list[np.ndarray]]:
        """The sum of the absolute terms of the loss, and its derivatives by every point."""
        with tf.GradientTape() as tape:
            tape.watch(self._tensors)
            terms = self._terms(*self._tensors)
        gradients = tape.gradient(terms, self._tensors, unconnected_gradients="zero")
        return float(tf.reduce_sum(tf.abs(terms))), [gradient.numpy() for gradient in gradients]


def _in_float64(layer: keras.Layer, shapes: Any) -> keras.Layer:
    """A copy with the same weights that computes in float64 throughout."""

    def rebuilt(part: keras.Layer) -> keras.Layer:
        return type(part).from_config(part.get_config() | {"dtype": "float64"})

    if isinstance(layer, keras.Model):
        given = layer.inputs[0] if isinstance(layer, keras.Sequential) else layer.input
        inputs = keras.tree.map_structure(lambda door: keras.Input(batch_shape=door.shape, dtype="float64"), given)
        copy = keras.models.clone_model(layer, input_tensors=inputs, clone_function=rebuilt)
    else:
        copy = rebuilt(layer)
        copy.build(shapes)
    for part in copy._flatten_layers():
        part.dtype_policy = "float64"  # heads answer in float32 whatever the policy
    if layer.built:
        copy.set_weights(layer.get_weights())
    return copy


def _weighted(seed: int, answers: Any) -> tf.Tensor:
    """Every answer times a random number: the terms of a sum whose gradient depends on all of them."""
    random = np.random.default_rng(seed)
    return tf.concat([tf.reshape(part * random.normal(size=part.shape), [-1]) for part in tf.nest.flatten(answers)], 0)


def _rounding(function: _Function, random: np.random.Generator) -> float:
    """How far off the loss is by rounding: what the second differences over a few tiny moves of all points leave."""
    here, left = function(*function.points), []
    for _ in range(4):
        moves = [NUDGE * random.choice([-1, 1], p.shape) * np.maximum(1, np.abs(p)) for p in function.points]
        ahead, behind = (
            function(*(point + sign * move for point, move in zip(function.points, moves, strict=True)))
            for sign in (1, -1)
        )
        left.append(abs(ahead - 2 * here + behind))
    return max(left)


@dataclass(frozen=True)
class _Differences:
    """Derivatives of a function of one number, at 0."""

    step: float
    noise: float
    """How far off the function's values are by rounding."""

    def slope(self, function: Callable[[float], float], scale: float) -> float | None:
        """By central differences over `step * scale`; None where the function is not smooth within them."""
        here, step = function(0.0), self.step * scale
        (right, left), (near_right, near_left) = (
            ((function(by) - here) / by, (here - function(-by)) / by) for by in (step, step / 2)
        )
        allowed = SMOOTH * max(abs(right), abs(left)) + 4 * self.noise / step
        agree = abs((right + left) - (near_right + near_left)) / 2 <= allowed
        closer = abs(near_right - near_left) <= 0.75 * abs(right - left) + allowed
        return (right + left) / 2 if agree and closer else None

    def relative_error(self, analytical: np.ndarray, numerical: np.ndarray) -> float:
        """||a - n|| / (||a|| + ||n||), where a difference that rounding accounts for is none."""
        rounded = self.noise / self.step * len(numerical) ** 0.5
        difference = max(0.0, float(np.linalg.norm(analytical - numerical)) - rounded)
        return difference / float(np.linalg.norm(analytical) + np.linalg.norm(numerical)) if difference else 0.0


def _check(
    loss_at: Callable[[np.ndarray], float],
    point: np.ndarray,
    gradient: np.ndarray,
    entries: int,
    differences: _Differences,
    random: np.random.Generator,
) -> GradientCheck:
    """Compares entries in random order until there are enough where the loss is smooth, or four times as many tried."""
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
