"""The learning rate of a recipe over the batches of a run.

Keras counts batches for it, also where several of them make one update.
"""

import math

import keras
from keras import ops
from keras.optimizers import schedules

from ..recipe.recipe import Recipe
from ..recipe.schedule import Constant, Cosine, Exponential, OneCycle, Plateau, Step


def make_schedule(recipe: Recipe, steps: int, highest: float) -> schedules.LearningRateSchedule:
    """The recipe's schedule, which goes up to `highest`.

    Args:
        recipe: Its `schedule`, and `epochs`.
        steps: Batches in an epoch.
        highest: The highest learning rate.
    """
    how, total = recipe.schedule, recipe.epochs * steps
    if isinstance(how, OneCycle):
        return CosineCycle(highest, total, rise=how.rise, start=how.start, final=how.final)
    warmup = round(min(how.warmup_epochs, recipe.epochs / 2) * steps)
    rest = max(1, total - warmup)
    match how:
        case Constant():
            after = highest
        case Step():
            falls = sorted(round(share * total) - warmup for share in how.milestones)
            # Keras keeps a rate up to and with its boundary.
            rates = [highest * how.factor**fallen for fallen in range(len(falls) + 1)]
            after = schedules.PiecewiseConstantDecay([fall - 1 for fall in falls], rates) if falls else highest
        case Exponential():
            after = schedules.ExponentialDecay(highest, rest, how.final)
        case Cosine():
            after = schedules.CosineDecay(highest, rest, alpha=how.final)
        case Plateau():
            after = Lowered(highest)
    return WarmUp(after, warmup)


@keras.saving.register_keras_serializable("pocketzoo")
class WarmUp(schedules.LearningRateSchedule):
    """Rises on a line from 0 over the first steps, then is another schedule from its beginning.

    Args:
        after: That schedule, or a learning rate that stays.
        steps: Of the rise; 0 for none.
    """

    def __init__(self, after: float | schedules.LearningRateSchedule, steps: int):
        self.after = after
        self.steps = steps

    def __call__(self, step):
        """The learning rate at `step`."""
        step = ops.cast(step, "float32")
        rate = self.after(ops.maximum(step - self.steps, 0.0)) if callable(self.after) else self.after
        return rate * ops.minimum(step / self.steps, 1.0) if self.steps else ops.cast(rate, "float32")

    def get_config(self):
        """Its arguments."""
        after = keras.saving.serialize_keras_object(self.after) if callable(self.after) else self.after
        return {"after": after, "steps": self.steps}

    @classmethod
    def from_config(cls, config):
        """Made again from `get_config`."""
        return cls(keras.saving.deserialize_keras_object(config["after"]), config["steps"])


@keras.saving.register_keras_serializable("pocketzoo")
class CosineCycle(schedules.LearningRateSchedule):
    """Rises on half a cosine, then falls on one.

    Args:
        highest: The learning rate at the end of the rise.
        steps: Of the whole cycle; after it the rate stays.
        rise: Share of the steps in which it rises.
        start: Share of `highest` at step 0.
        final: Share of `highest` after the last step.
    """

    def __init__(self, highest: float, steps: int, *, rise: float, start: float, final: float):
        self.highest = highest
        self.steps = steps
        self.rise = rise
        self.start = start
        self.final = final

    def __call__(self, step):
        """The learning rate at `step`."""
        done = ops.cast(step, "float32") / self.steps
        rising = self._between(self.start, 1.0, done / self.rise)
        falling = self._between(1.0, self.final, (done - self.rise) / (1 - self.rise))
        return self.highest * ops.where(done < self.rise, rising, falling)

    @staticmethod
    def _between(first: float, last: float, part):
        return first + (last - first) * (1 - ops.cos(math.pi * ops.clip(part, 0.0, 1.0))) / 2

    def get_config(self):
        """Its arguments."""
        return vars(self).copy()


@keras.saving.register_keras_serializable("pocketzoo")
class Lowered(schedules.LearningRateSchedule):
    """Stays, but for a factor that is set from outside while training goes on.

    Args:
        highest: The learning rate while the factor is 1.
        factor: To begin with.
    """

    def __init__(self, highest: float, factor: float = 1.0):
        self.highest = highest
        self.factor = keras.Variable(factor, dtype="float32", trainable=False, name="factor")

    def __call__(self, step):
        """The learning rate at any step."""
        return self.highest * self.factor

    def get_config(self):
        """Its arguments."""
        return {"highest": self.highest, "factor": float(self.factor.numpy())}


def plateau_factor(losses: list[float], how: Plateau) -> float:
    """What the epochs' validation losses leave of the learning rate, as `keras.callbacks.ReduceLROnPlateau` has it."""
    factor, best, waited = 1.0, math.inf, 0
    for loss in losses:
        waited = 0 if loss < best else waited + 1
        best = min(best, loss)
        if waited == how.patience:
            factor, waited = max(factor * how.factor, how.lowest), 0
    return factor
