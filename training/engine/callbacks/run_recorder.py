"""The callback that records a run in its directory and decides when to stop it."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ....core.errors import InputError, WriteError, write_error_reason
from ..history import History
from ..layer_settings import OriginalSettings
from ..optimizers import current_learning_rate
from ..run_directory import RunDirectory
from .ema import averaged_weights


class RunRecorder(keras.callbacks.Callback):
    """Saves history, checkpoint and best model after every epoch, and stops the run when validation stops improving.

    All its decisions follow from the history, so a resumed run decides as an uninterrupted one does. The first epoch
    after an interruption within an epoch has only the remaining batches, but its metrics cover the whole epoch.

    Args:
        run: Directory to save to.
        history: History of the run; grows with every epoch.
        model: The model of the run; the trained network may be a part of it.
        steps: Batches per epoch.
        original_settings: Context manager factory under which `model` has the settings to save it with.
        patience: Epochs without a better validation loss after which to stop; None to never stop early.
        checkpoint_steps: Batches between checkpoints within an epoch; None for none within epochs.
        first_eligible: Index of the first epoch that may become the best.
        add_files: Writes further files to the folder of each checkpoint.
    """

    def __init__(
        self,
        run: RunDirectory,
        history: History,
        model: keras.Model,
        *,
        steps: int,
        original_settings: OriginalSettings,
        patience: int | None,
        checkpoint_steps: int | None,
        first_eligible: int,
        add_files: Callable[[Path], object],
    ):
        super().__init__()
        self._run = run
        self._history = history
        self._run_model = model  # `self.model` is the trained network; Keras sets it
        self._steps = steps
        self._original_settings = original_settings
        self._patience = patience
        self._checkpoint_steps = checkpoint_steps
        self._first_eligible = first_eligible
        self._add_files = add_files
        self._ends_epoch = False

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Restore the metrics of an interrupted epoch; Keras has just reset them."""
        self._done_before = self._history.step
        if self._done_before:
            self._run.restore_metrics(self.model)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any]) -> None:
        """Save a checkpoint when it is due.

        Raises:
            InputError: The loss is NaN or infinite, or the checkpoint cannot be saved.
        """
        done = self._done_before + batch + 1
        if not math.isfinite(logs["loss"]):
            raise InputError(
                f"the loss became {logs['loss']} in epoch {len(self._history) + 1}, step {done}; "
                f"try a lower optimizer.lr. {self._last_checkpoint()}"
            )
        if self._done_before and done >= self._steps:
            # Keras would take as many batches as in a whole epoch.
            self._ends_epoch, self.model.stop_training = not self.model.stop_training, True
        elif done < self._steps and done - self._history.step >= (self._checkpoint_steps or self._steps):
            self._history.step = done
            self._save(f"step {done} of epoch {len(self._history) + 1}", is_best=False)

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Let the run continue where `stop_training` was set to end an interrupted epoch only."""
        if self._ends_epoch:
            self._ends_epoch = self.model.stop_training = False

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Record the epoch and save a checkpoint; stop the run if the patience is exhausted.

        Raises:
            InputError: A metric is NaN or infinite, or the checkpoint cannot be saved.
        """
        number = len(self._history) + 1
        if several := [name for name, value in logs.items() if np.ndim(value)]:
            raise InputError(
                f"metric {several[0]} has {np.size(logs[several[0]])} values; give metrics of one number, such as "
                "keras.metrics.F1Score(average='macro')."
            )
        if not all(math.isfinite(value) for value in logs.values()):
            raise InputError(
                f"the metrics of epoch {number} are {logs}; try a lower optimizer.lr. {self._last_checkpoint()}"
            )
        optimizer, variables = self.model.optimizer, self.model.trainable_variables
        rate = max(current_learning_rate(optimizer, variable) for variable in variables)
        self._history.epochs.append({name: float(value) for name, value in logs.items()} | {"learning_rate": rate})
        self._history.step, self._history.stopped = 0, self.model.stop_training
        is_best = self._history.best_epoch(self._first_eligible) == number - 1
        self._save(f"epoch {number}", is_best=is_best)
        if self._history.is_exhausted(self._patience, self._first_eligible):
            self.model.stop_training = True

    def _save(self, what: str, *, is_best: bool) -> None:
        try:
            self._run.save_checkpoint(
                self._run_model,
                self.model,
                self._history,
                is_best=is_best,
                add_files=self._add_files,
                as_kept=self._as_validated,
            )
        except OSError as error:
            raise WriteError(
                f"{what} cannot be saved in {self._run.path}: {write_error_reason(error)}. {self._last_checkpoint()}",
                error.errno,
            ) from error

    @contextmanager
    def _as_validated(self) -> Iterator[None]:
        with averaged_weights(self.model), self._original_settings():
            yield

    def _last_checkpoint(self) -> str:
        return f"Last good checkpoint: {self._run.last_checkpoint() or 'none yet'}."
