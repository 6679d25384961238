"""The learning rate range test: what rate to begin with.

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

from ...core.atomic_files import atomic_path
from ...core.errors import InputError
from ...zoo.flat import without_optimizer
from ..compatibility import check_fit_together, check_trainable
from ..data.images import ImageData
from ..data.pipeline import steps_per_epoch, training_batches
from ..recipe.recipe import Recipe
from .compilation import compile_network
from .fit import with_precision
from .initializers import draw_kernels
from .optimizers import RateGroup, innermost
from .settings import training_settings

LOWEST, HIGHEST, STEPS = 1e-6, 10.0, 100
"""Of the rates that are tried, and in how many batches."""
SMOOTHING = 0.9
"""Weight of what was before in the moving average of the losses."""
SETTLED = 10
"""Batches after which that average is of enough to tell a fall of the loss from chance."""
DIVERGED = 4.0
"""Times the least loss, above which the search ends."""


@dataclass(frozen=True)
class RateSearch:
    """What each learning rate of a search led to."""

    rates: list[float]
    losses: list[float]
    """Of the batch that was trained on at that rate, before it was."""
    smoothed: list[float]
    """Moving average of the losses, without a bias towards its beginning."""

    @property
    def suggestion(self) -> float:
        """The rate at which the smoothed loss falls fastest against the logarithm of the rate, once it has settled."""
        slopes = np.gradient(self.smoothed, np.log(self.rates))
        return self.rates[SETTLED + int(np.argmin(slopes[SETTLED:]))]

    def to_dict(self) -> dict[str, Any]:
        """The same as plain numbers, for JSON."""
        return {**vars(self), "suggestion": self.suggestion}

    def plot(self, path: str | Path) -> None:
        """Draws the losses against the rates, with the suggestion, as a PNG."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(5.5, 3.6), layout="constrained")
        axes = figure.subplots()
        axes.plot(self.rates, self.losses, color="0.75", label="loss of a batch")
        axes.plot(self.rates, self.smoothed, label="smoothed")
        axes.axvline(self.suggestion, color="C3", linestyle="--", label=f"suggestion {self.suggestion:.2g}")
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss")
        axes.grid(alpha=0.3)
        axes.legend()
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format="png", dpi=110)


def find_learning_rate(model: keras.Model, data: ImageData, recipe: Recipe | None = None) -> RateSearch:
    """Trains `model` for up to 100 batches at ever higher learning rates, from 1e-6 to 10, and puts its weights back.

    The suggestion is meant for `optimizer.lr`, the highest rate of a schedule. It ends early where the loss explodes.

    Args:
        model: As for `fit`.
        data: As for `fit`; only `data.train` is used.
        recipe: All but its learning rate, schedule and length count; the defaults of `Recipe` if None.

    Raises:
        InputError: Model, data and recipe do not fit together, or the loss is no number from the beginning.
    """
    recipe = with_precision(recipe or Recipe(), model, verbose=True)
    check_fit_together(model, data)
    check_trainable(data, recipe)
    steps = steps_per_epoch(data.train, recipe)
    long_enough = recipe.changed(epochs=math.ceil(STEPS / steps), steps_per_execution=1)
    with training_settings(model, recipe), _as_before(model):
        draw_kernels(model, recipe)
        network = without_optimizer(model)
        compile_network(network, model, long_enough, steps, [RateGroup(HIGHEST, model.trainable_variables)])
        rise = keras.optimizers.schedules.ExponentialDecay(LOWEST, STEPS - 1, HIGHEST / LOWEST)
        innermost(network.optimizer).learning_rate = rise
        search = RateSearch([], [], [])
        for step, batch in enumerate(training_batches(data.train, long_enough).take(STEPS)):
            network.reset_metrics()
            loss = float(network.train_on_batch(*batch, return_dict=True)["loss"])
            smoothed = _smoothed([*search.losses, loss])
            if not math.isfinite(loss) or smoothed > DIVERGED * min(search.smoothed, default=math.inf):
                break
            search.rates.append(float(rise(step)))
            search.losses.append(loss)
            search.smoothed.append(smoothed)
    if len(search.rates) <= SETTLED:
        raise InputError(f"the loss of {model.name} is {loss} after {step} batches; no learning rate can be found.")
    return search


def _smoothed(losses: list[float]) -> float:
    weights = SMOOTHING ** np.arange(len(losses))[::-1]
    return float(np.average(losses, weights=weights))


@contextmanager
def _as_before(model: keras.Model) -> Iterator[None]:
    """Puts back all weights and random states of `model` at the end."""
    variables = list(model.variables)
    values = [np.array(variable) for variable in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
