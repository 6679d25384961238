"""The optimizer of a recipe, with one learning rate for all weights or one for each group of weights."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
from keras import ops

from ...core.errors import InputError
from ...core.keras_private import (
    has_weight_decay,
    keep_gradients_of_one_replica,
    optimized_variables,
    variable_key,
)
from ..recipe.recipe import Recipe
from .schedules import make_schedule

if TYPE_CHECKING:  # type checkers understand a mixin only as a subclass of what it is mixed into
    _Optimizer = keras.optimizers.Optimizer
else:
    _Optimizer = object


class ParameterGroup(NamedTuple):
    """Weights that share a learning rate."""

    learning_rate: float
    """Peak of the recipe's schedule for these weights."""
    variables: Sequence[keras.Variable]


OPTIMIZERS: dict[str, tuple[type[keras.optimizers.Optimizer], tuple[str, ...]]] = {
    "sgd": (keras.optimizers.SGD, ()),
    "momentum": (keras.optimizers.SGD, ("momentum",)),
    "nesterov": (keras.optimizers.SGD, ("momentum",)),
    "adagrad": (keras.optimizers.Adagrad, ()),
    "rmsprop": (keras.optimizers.RMSprop, ("rho", "momentum")),
    "adam": (keras.optimizers.Adam, ("beta_1", "beta_2")),
    "adamw": (keras.optimizers.Adam, ("beta_1", "beta_2")),
    "lion": (keras.optimizers.Lion, ("beta_1", "beta_2")),
    "lamb": (keras.optimizers.Lamb, ("beta_1", "beta_2")),
}
"""Keras class of each optimizer, and the recipe fields it takes. Weight decay is not among them: `PerParameterUpdates`
applies it, so AdamW is Adam with that."""
FIXED: dict[str, dict[str, Any]] = {"nesterov": {"nesterov": True}}
"""Constructor arguments that no recipe field sets."""


def make_optimizer(
    recipe: Recipe, steps: int, groups: Sequence[ParameterGroup], *, undecayed: Collection[keras.Variable] = ()
) -> keras.optimizers.Optimizer:
    """Return the optimizer of `recipe` for all weights of `groups`.

    Args:
        recipe: Optimizer, schedule, weight decay and penalties; its learning rate is not used.
        steps: Batches per epoch.
        groups: Disjoint groups of all weights to be trained.
        undecayed: Weights excluded from weight decay, in addition to normalization and biases.
    """
    config = recipe.optimizer
    peak = max(group.learning_rate for group in groups)
    optimizer_class, fields = OPTIMIZERS[config.name]
    optimizer = _per_parameter(optimizer_class)(
        make_schedule(recipe, steps, peak),
        global_clipnorm=config.clip_norm,
        gradient_accumulation_steps=config.accumulate if config.accumulate > 1 else None,
        use_ema=config.ema is not None,
        # Keras updates the averages after every batch; the weights change after every `accumulate` batches.
        ema_momentum=0.0 if config.ema is None else config.ema ** (1 / config.accumulate),
        **{name: getattr(config, name) for name in fields},
        **FIXED.get(config.name, {}),
    )
    optimizer.configure(
        [(group.learning_rate / peak, group.variables) for group in groups],
        weight_decay=config.weight_decay,
        undecayed=undecayed,
        l1=recipe.l1,
        l2=recipe.l2,
    )
    keep_gradients_of_one_replica(optimizer)
    return optimizer


def check_changes_weights(model: keras.Model, recipe: Recipe, steps: int) -> None:
    """Raise InputError if training `model` by `recipe` with `steps` batches per epoch would not change a weight."""
    check_not_frozen(model)
    batches, accumulate = recipe.epochs * steps, recipe.optimizer.accumulate
    if accumulate > batches:
        raise InputError(
            f"optimizer.accumulate is {accumulate}, but {recipe.epochs} epochs of {steps} batches have {batches} only: "
            f"nothing would be trained; it takes 1 to {batches}."
        )


def check_not_frozen(model: keras.Model) -> None:
    """Raise InputError if no weight of `model` is trainable."""
    if not model.trainable_variables:
        raise InputError(
            f"{model.name}: nothing is left to train; all layers are frozen. Set layer.trainable = True for some."
        )


def unwrap_optimizer(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Return the optimizer inside float16 loss scaling; the optimizer itself without loss scaling."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def current_learning_rate(optimizer: keras.optimizers.Optimizer, variable: keras.Variable) -> float:
    """Return the learning rate of the next update of `variable`."""
    optimizer = unwrap_optimizer(optimizer)
    multiplier = optimizer.multiplier_of(variable) if isinstance(optimizer, PerParameterUpdates) else 1.0
    return float(ops.convert_to_numpy(optimizer.learning_rate)) * multiplier


class PerParameterUpdates(_Optimizer):
    """Mixin for a Keras optimizer: learning rate multipliers by weight, and decay and penalties on kernels only.

    One optimizer for all groups of weights, in contrast to `keras.optimizers.MultiOptimizer`, has a single gradient
    norm to clip, a single count of accumulated batches, and a single set of moving averages.
    """

    def configure(
        self,
        multipliers: Sequence[tuple[float, Sequence[keras.Variable]]],
        *,
        weight_decay: float,
        undecayed: Collection[keras.Variable],
        l1: float,
        l2: float,
    ) -> None:
        """Set the options by weight; call it before the first step.

        Args:
            multipliers: Learning rates as shares of the peak, each with its weights; together all trained weights.
            weight_decay: Decay decoupled from the gradient, times the learning rate. It is applied to kernels only:
                it pulls weights to zero, and normalization and biases have no reason to be small.
            undecayed: Kernels without weight decay.
            l1: Coefficient of the sum of the kernels' absolute values in the minimized loss.
            l2: Coefficient of the sum of the kernels' squares in the minimized loss.
        """
        by_key = {variable_key(self, variable): value for value, variables in multipliers for variable in variables}
        self.multiplier_of = lambda variable: by_key[variable_key(self, variable)]
        trained = [variable for _, variables in multipliers for variable in variables]
        self.exclude_from_weight_decay([v for v in trained if not is_kernel(v)] + list(undecayed))
        self._decay = weight_decay
        self._l1, self._l2 = l1, l2

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[keras.Variable] | None = None) -> None:
        """Add the gradients of the penalties to those of the loss, and make a step."""
        if self._l1 or self._l2:
            variables = trainable_variables or optimized_variables(self)
            grads = [self._penalized(gradient, variable) for gradient, variable in zip(grads, variables, strict=True)]
        super().apply(grads, trainable_variables)

    def _penalized(self, gradient: Any, variable: keras.Variable) -> Any:
        if gradient is None or not is_kernel(variable):
            return gradient
        return gradient + self._l1 * ops.sign(variable) + 2 * self._l2 * variable

    def update_step(self, gradient: Any, variable: keras.Variable, learning_rate: Any) -> None:
        """Apply the weight decay, then the optimizer's own update at the learning rate of the weight."""
        learning_rate = ops.cast(learning_rate, variable.dtype) * self.multiplier_of(variable)
        if self._decay and has_weight_decay(self, variable):
            self.assign_sub(variable, variable * self._decay * learning_rate)
        super().update_step(gradient, variable, learning_rate)


def _per_parameter(optimizer_class: type[keras.optimizers.Optimizer]) -> type[PerParameterUpdates]:
    return type(optimizer_class.__name__, (PerParameterUpdates, optimizer_class), {})


def is_kernel(variable: keras.Variable) -> bool:
    """Return whether weight decay and penalties apply to `variable`.

    They do not apply to normalization, biases, and the slopes of a PReLU, which Keras names alpha and the paper of
    PReLU does not decay (arXiv:1502.01852).
    """
    return len(variable.shape) > 1 and variable.name != "alpha"
