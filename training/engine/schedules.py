"""The learning rate schedule of a recipe.

Keras passes it the number of batches, also where several batches are accumulated for one update.
"""

import math
from typing import Any

import keras
from keras import ops
from keras.optimizers import schedules

from ..recipe.recipe import Recipe
from ..recipe.schedule import Constant, Cosine, Exponential, OneCycle, Plateau, Step


def make_schedule(recipe: Recipe, steps: int, peak: float) -> schedules.LearningRateSchedule:
    """Return the learning rate schedule of `recipe`, whose highest rate is `peak`.

    Args:
        recipe: Its `schedule` and `epochs` are used.
        steps: Batches per epoch.
        peak: The highest learning rate.
    """
    config, total = recipe.schedule, recipe.epochs * steps
    if isinstance(config, OneCycle):
        return CosineCycle(peak, total, rise=config.rise, start=config.start, final=config.final)
    warmup = round(min(config.warmup_epochs, recipe.epochs / 2) * steps)
    remaining = max(1, total - warmup)
    after: float | schedules.LearningRateSchedule
    match config:
        case Constant():
            after = peak
        case Step():
            milestones = [max(1, round(share * total)) for share in config.milestones]
            warmup = min([warmup, *(step - 1 for step in milestones)])  # at least one step is at the peak
            boundaries = [step - warmup for step in milestones]
            rates = [peak * config.factor**reductions for reductions in range(len(boundaries) + 1)]
            # Keras still has the old rate at a boundary.
            before = [boundary - 1 for boundary in boundaries]
            after = schedules.PiecewiseConstantDecay(before, rates) if boundaries else peak
        case Exponential():
            after = schedules.ExponentialDecay(peak, remaining, config.final)
        case Cosine():
            after = schedules.CosineDecay(peak, remaining, alpha=config.final)
        case Plateau():
            after = AdjustableRate(peak)
    return WarmUp(after, warmup)


@keras.saving.register_keras_serializable("pocketzoo")
class WarmUp(schedules.LearningRateSchedule):
    """Linear warmup from 0, then another schedule from its beginning.

    Args:
        after: The schedule after warmup, or a constant learning rate.
        steps: Steps of the warmup; 0 for none.
    """

    def __init__(self, after: float | schedules.LearningRateSchedule, steps: int):
        self.after = after
        self.steps = steps

    def __call__(self, step: Any) -> Any:
        """Return the learning rate at `step`."""
        step = ops.cast(step, "float32")
        rate = self.after(ops.maximum(step - self.steps, 0.0)) if callable(self.after) else self.after
        return rate * ops.minimum(step / self.steps, 1.0) if self.steps else ops.cast(rate, "float32")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        after = keras.saving.serialize_keras_object(self.after) if callable(self.after) else self.after
        return {"after": after, "steps": self.steps}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "WarmUp":
        """Create a schedule from the result of `get_config`."""
        return cls(keras.saving.deserialize_keras_object(config["after"]), config["steps"])


@keras.saving.register_keras_serializable("pocketzoo")
class CosineCycle(schedules.LearningRateSchedule):
    """One cycle (arXiv:1708.07120): rises on half a cosine, then falls on one.

    Args:
        peak: The learning rate at the end of the rise.
        steps: Steps of the cycle; after it the rate is constant.
        rise: Share of the steps in which the rate rises.
        start: Share of `peak` at step 0.
        final: Share of `peak` after the last step.
    """

    def __init__(self, peak: float, steps: int, *, rise: float, start: float, final: float):
        self.peak = peak
        self.steps = steps
        self.rise = rise
        self.start = start
        self.final = final

    def __call__(self, step: Any) -> Any:
        """Return the learning rate at `step`."""
        done = ops.cast(step, "float32") / self.steps
        rising = self._interpolate(self.start, 1.0, done / self.rise)
        falling = self._interpolate(1.0, self.final, (done - self.rise) / (1 - self.rise))
        return self.peak * ops.where(done < self.rise, rising, falling)

    @staticmethod
    def _interpolate(first: float, last: float, part: Any) -> Any:
        return first + (last - first) * (1 - ops.cos(math.pi * ops.clip(part, 0.0, 1.0))) / 2

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return vars(self).copy()


@keras.saving.register_keras_serializable("pocketzoo")
class AdjustableRate(schedules.LearningRateSchedule):
    """A constant learning rate times a factor that a callback sets during training.

    Args:
        peak: The learning rate while the factor is 1.
        factor: Initial factor.
    """

    def __init__(self, peak: float, factor: float = 1.0):
        self.peak = peak
        self.factor = keras.Variable(factor, dtype="float32", trainable=False, name="factor")

    def __call__(self, step: Any) -> Any:
        """Return the learning rate at any step."""
        return self.peak * self.factor

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {"peak": self.peak, "factor": float(self.factor.numpy())}
