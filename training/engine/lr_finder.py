"""The learning rate range test.

Smith: Cyclical Learning Rates for Training Neural Networks (arXiv:1506.01186), section 3.3, with a rate that rises by
the same factor in every step.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ...core.arguments import check_arguments
from ...core.atomic_files import atomic_path
from ...core.errors import InputError
from ...core.pictures import save_figure
from ...core.short_repr import ShortRepr
from ...zoo.model_arguments import accepts_any_model
from ..compatibility import check_fit_together, check_strategy, check_trainable, describe_model
from ..data.accepted_data import accepts_any_data
from ..data.images import ImageData
from ..data.pipeline import steps_per_epoch, training_batches
from ..data.stream_functions import raising_failures
from ..recipe.recipe import Recipe
from .compilation import compile_network, reinitialize_kernels
from .deep_supervision import training_network
from .job import resolve_precision
from .layer_settings import training_settings
from .optimizers import ParameterGroup, check_changes_weights, unwrap_optimizer

LOWEST, HIGHEST, STEPS = 1e-6, 10.0, 100
"""Range of the learning rates, and the number of batches."""
SMOOTHING = 0.9
"""Decay of the moving average of the losses."""
BURN_IN = 10
"""Batches until the average covers enough losses for its slope to be more than noise."""
DIVERGED = 4.0
"""The search ends when the smoothed loss exceeds its minimum by this factor."""


@dataclass(frozen=True)
class RateSearch(ShortRepr):
    """Losses by learning rate."""

    rates: list[float]
    losses: list[float]
    """Loss of the batch at each rate, before the update at that rate."""
    smoothed: list[float]
    """Bias-corrected moving average of the losses."""

    @property
    def suggestion(self) -> float:
        """The rate at which the smoothed loss falls fastest by the logarithm of the rate, after the burn-in."""
        slopes = np.gradient(self.smoothed, np.log(self.rates))
        return self.rates[BURN_IN + int(np.argmin(slopes[BURN_IN:]))]

    def to_dict(self) -> dict[str, Any]:
        """Return the search as values for JSON."""
        return {**vars(self), "suggestion": self.suggestion}

    def plot(self, path: str | Path) -> None:
        """Draw the losses by rate, with the suggestion, as a PNG."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(5.5, 3.6), layout="constrained")
        axes = figure.subplots()
        axes.plot(self.rates, self.losses, color="0.75", label="batch loss")
        axes.plot(self.rates, self.smoothed, label="smoothed")
        axes.axvline(self.suggestion, color="C3", linestyle="--", label=f"suggestion {self.suggestion:.2g}")
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss")
        axes.grid(alpha=0.3)
        axes.legend()
        with atomic_path(path) as temporary:
            save_figure(figure, temporary)


@accepts_any_data("dataset")
@check_arguments
@accepts_any_model
def find_learning_rate(model: keras.Model, data: ImageData, recipe: Recipe | None = None) -> RateSearch:
    """Train `model` for up to 100 batches at rising learning rates, from 1e-6 to 10, then restore its weights.

    The suggestion is meant for `optimizer.lr`, the peak of a schedule. The search ends early if the loss diverges.

    Args:
        model: As in `fit`.
        data: As in `fit`; only `data.train` is used.
        recipe: Learning rate, schedule and epochs are ignored; the defaults of `Recipe` if None.

    Raises:
        InputError: Model, data and recipe are incompatible, or the loss is not finite from the start.
    """
    recipe = resolve_precision(recipe or Recipe(), model, verbose=True)
    describe_model(model, data)
    check_fit_together(model, data)
    check_strategy(model)
    check_trainable(data, recipe)
    steps = steps_per_epoch(data.train, recipe)
    long_enough = recipe.changed(epochs=math.ceil(STEPS / steps), steps_per_execution=1)
    check_changes_weights(model, long_enough, steps)
    with training_settings(model, recipe), _restore_variables(model):
        reinitialize_kernels(model, recipe)
        network = training_network(model, recipe)
        groups = [ParameterGroup(HIGHEST, model.trainable_variables)]
        compile_network(network, model, long_enough, steps, groups, labels=data.labels)
        rise = keras.optimizers.schedules.ExponentialDecay(LOWEST, STEPS - 1, HIGHEST / LOWEST)
        unwrap_optimizer(network.optimizer).learning_rate = rise
        search = RateSearch([], [], [])
        batches = training_batches(data.train, long_enough)
        with raising_failures(batches):
            for step, batch in enumerate(batches.take(STEPS)):
                network.reset_metrics()
                loss = float(network.train_on_batch(*batch, return_dict=True)["loss"])
                smoothed = _smoothed([*search.losses, loss])
                if not math.isfinite(loss) or smoothed > DIVERGED * min(search.smoothed, default=math.inf):
                    break
                search.rates.append(float(rise(step)))
                search.losses.append(loss)
                search.smoothed.append(smoothed)
    if len(search.rates) <= BURN_IN:
        raise InputError(f"the loss of {model.name} is {loss} after {step} batches; no learning rate can be suggested.")
    return search


def _smoothed(losses: list[float]) -> float:
    weights = SMOOTHING ** np.arange(len(losses))[::-1]
    return float(np.average(losses, weights=weights))


@contextmanager
def _restore_variables(model: keras.Model) -> Iterator[None]:
    """Restore all weights and random states of `model` at the end of the block."""
    variables = list(model.variables)
    values = [np.array(variable) for variable in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
