"""The optimizer of a recipe, with one learning rate for all or one for each group of weights."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import keras

from ..recipe.recipe import Recipe


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
        recipe: Kind of optimizer, length, warm-up and weight decay; its learning rate is not used.
        steps: Batches in an epoch.
        groups: Disjoint; together all that is trained.
        undecayed: Weights that weight decay spares, besides norms and biases.
    """
    # Decay pulls kernels towards zero; norms and biases have no reason to be small.
    spared = [v for group in groups for v in group.variables if len(v.shape) <= 1] + list(undecayed)
    optimizers = [_one_rate(recipe, steps, group.learning_rate, spared) for group in groups]
    if len(optimizers) == 1:
        return optimizers[0]
    of_variable = {
        id(v): optimizer for group, optimizer in zip(groups, optimizers, strict=True) for v in group.variables
    }
    return keras.optimizers.MultiOptimizer(lambda variable: of_variable[id(variable)])


def learning_rate_of(optimizer: keras.optimizers.Optimizer, variable: keras.Variable) -> float:
    """The learning rate at which the next step changes `variable`."""
    if isinstance(optimizer, keras.optimizers.MultiOptimizer):
        optimizer = optimizer._optimizer_map(variable)
    return float(keras.ops.convert_to_numpy(optimizer.learning_rate))


def _one_rate(
    recipe: Recipe, steps: int, learning_rate: float, spared: Sequence[keras.Variable]
) -> keras.optimizers.Optimizer:
    warmup = round(min(recipe.schedule.warmup_epochs, recipe.epochs / 2) * steps)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else learning_rate,
        max(1, recipe.epochs * steps - warmup),
        warmup_target=learning_rate if warmup else None,
        warmup_steps=warmup,
    )
    if recipe.optimizer.name == "adamw":
        optimizer = keras.optimizers.AdamW(schedule, weight_decay=recipe.optimizer.weight_decay)
    else:
        optimizer = keras.optimizers.SGD(
            schedule, momentum=0.9, nesterov=True, weight_decay=recipe.optimizer.weight_decay
        )
    optimizer.exclude_from_weight_decay(spared)
    return optimizer
