"""The optimizer of a recipe, with one learning rate for all or one for each group of weights."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from ..recipe.recipe import Recipe
from .schedules import make_schedule


class RateGroup(NamedTuple):
    """Weights that share a learning rate."""

    learning_rate: float
    """The highest; the recipe's schedule goes up to it and down again."""
    variables: Sequence[keras.Variable]


def make_optimizer(
    recipe: Recipe, steps: int, groups: Sequence[RateGroup], *, undecayed: Collection[keras.Variable] = ()
) -> keras.optimizers.Optimizer:
    """The optimizer of `recipe` for all weights of `groups`.

    Args:
        recipe: Kind of optimizer, schedule, weight decay and so on; its learning rate is not used.
        steps: Batches in an epoch.
        groups: Disjoint; together all that is trained.
        undecayed: Weights that weight decay spares, besides norms and biases.
    """
    how = recipe.optimizer
    highest = max(group.learning_rate for group in groups)
    kind, arguments = KINDS[how.name]
    optimizer = _by_weight(kind)(
        make_schedule(recipe, steps, highest),
        global_clipnorm=how.clip_norm,
        gradient_accumulation_steps=how.accumulate if how.accumulate > 1 else None,
        use_ema=how.ema is not None,
        # Keras averages after every batch; the weights change after every `accumulate` of them.
        ema_momentum=0.0 if how.ema is None else how.ema ** (1 / how.accumulate),
        **{name: getattr(how, name) for name in arguments},
        **FIXED.get(how.name, {}),
    )
    optimizer.treat(
        [(group.learning_rate / highest, group.variables) for group in groups],
        weight_decay=how.weight_decay,
        undecayed=undecayed,
        l1=recipe.l1,
        l2=recipe.l2,
    )
    return optimizer


def innermost(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """The optimizer itself, inside the loss scaling of float16 where there is one."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def learning_rate_of(optimizer: keras.optimizers.Optimizer, variable: keras.Variable) -> float:
    """The learning rate at which the next step changes `variable`."""
    optimizer = innermost(optimizer)
    share = optimizer.share_of(variable) if isinstance(optimizer, ByWeight) else 1.0
    return float(ops.convert_to_numpy(optimizer.learning_rate)) * share


KINDS: dict[str, tuple[type[keras.optimizers.Optimizer], tuple[str, ...]]] = {
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
"""Keras' class of each optimizer, and what of the recipe's section it takes. Weight decay is none of it: `ByWeight`
decays, and AdamW is Adam with that."""
FIXED: dict[str, dict[str, Any]] = {"nesterov": {"nesterov": True}}


class ByWeight:
    """Goes before a Keras optimizer: weights have their own learning rates, and kernels may be decayed and penalised.

    One optimizer for all groups of weights, unlike `keras.optimizers.MultiOptimizer`, has one norm of the gradient to
    clip, one count of batches to accumulate, and one moving average.
    """

    def treat(
        self,
        shares: Sequence[tuple[float, Sequence[keras.Variable]]],
        *,
        weight_decay: float,
        undecayed: Collection[keras.Variable],
        l1: float,
        l2: float,
    ) -> None:
        """Says what is done with each weight; before the first step.

        Args:
            shares: All weights that are trained, after their learning rates as shares of the highest.
            weight_decay: Decoupled from the gradient, times the learning rate. Kernels only: they are pulled to zero,
                and norms and biases have no reason to be small.
            undecayed: Kernels that are not decayed.
            l1: Factor of the kernels' absolute values in what is minimised.
            l2: Factor of the kernels' squares in what is minimised.
        """
        by_key = {self._var_key(variable): share for share, variables in shares for variable in variables}
        self.share_of = lambda variable: by_key[self._var_key(variable)]
        trained = [variable for _, variables in shares for variable in variables]
        self.exclude_from_weight_decay([v for v in trained if not is_kernel(v)] + list(undecayed))
        self._decay = weight_decay
        self._l1, self._l2 = l1, l2

    def apply(self, grads, trainable_variables=None):
        """Adds the penalties' gradients to those of the loss, and makes a step."""
        if self._l1 or self._l2:
            variables = trainable_variables or self._trainable_variables
            grads = [self._penalized(gradient, variable) for gradient, variable in zip(grads, variables, strict=True)]
        super().apply(grads, trainable_variables)

    def _penalized(self, gradient, variable):
        if gradient is None or not is_kernel(variable):
            return gradient
        return gradient + self._l1 * ops.sign(variable) + 2 * self._l2 * variable

    def update_step(self, gradient, variable, learning_rate):
        """The optimizer's own, at the weight's learning rate, after the decay."""
        learning_rate = ops.cast(learning_rate, variable.dtype) * self.share_of(variable)
        if self._decay and self._use_weight_decay(variable):
            self.assign_sub(variable, variable * self._decay * learning_rate)
        super().update_step(gradient, variable, learning_rate)


def _by_weight(kind: type[keras.optimizers.Optimizer]) -> type[keras.optimizers.Optimizer]:
    return type(kind.__name__, (ByWeight, kind), {})


def is_kernel(variable: keras.Variable) -> bool:
    """Whether it is no norm, no bias, and no slope of a PReLU, which Keras calls alpha and its paper does not decay."""
    return len(variable.shape) > 1 and variable.name != "alpha"
