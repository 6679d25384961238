"""Learning rate reduction on a plateau of the validation loss."""

import math
from collections.abc import Sequence
from typing import Any

import keras

from ....core.keras_private import learning_rate_schedule
from ...recipe.schedule import Plateau
from ..history import History
from ..optimizers import unwrap_optimizer


class ReduceOnPlateau(keras.callbacks.Callback):
    """Reduces the learning rate when the validation loss stops improving.

    The factor follows from the history alone, so a resumed run reduces the rate as an uninterrupted one does.

    Args:
        config: The schedule section of the recipe.
        history: History of the run; grows during training.
    """

    def __init__(self, config: Plateau, history: History):
        super().__init__()
        self._config = config
        self._history = history

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the learning rate factor of the epoch."""
        phase = self._history.epochs[self._history.phases[-1] :]
        factor = plateau_factor([metrics["val_loss"] for metrics in phase], self._config)
        learning_rate_schedule(unwrap_optimizer(self.model.optimizer)).after.factor.assign(factor)


def plateau_factor(losses: Sequence[float], config: Plateau) -> float:
    """Return the learning rate factor after epochs with these validation losses.

    The same rule as `keras.callbacks.ReduceLROnPlateau` with `min_delta=0`.
    """
    factor, best, waited = 1.0, math.inf, 0
    for loss in losses:
        waited = 0 if loss < best else waited + 1
        best = min(best, loss)
        if waited == config.patience:
            factor, waited = max(factor * config.factor, config.lowest), 0
    return factor
