"""The callback that records a run and stops it."""

import math
import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import keras

from ....core.errors import InputError, first_line
from ..ema import averaged_weights
from ..history import History
from ..optimizers import learning_rate_of
from ..run_directory import RunDirectory


class Recorder(keras.callbacks.Callback):
    """Keeps history, checkpoint and best model after every epoch, and stops when nothing gets better.

    Everything it decides follows from the history, so a resumed run decides as an uninterrupted one would. The first
    epoch of a run that was interrupted within one is only what was left of it, and measures the whole.

    Args:
        run: Where to keep them.
        history: Of what is already done; grows with the run.
        model: The run's, of which the network that is trained may be a part.
        steps: Batches in an epoch.
        as_given: A context in which `model` is to be saved.
        patience: Epochs without a better validation loss after which to stop, or None.
        checkpoint_steps: Batches after which to keep a checkpoint within an epoch, or None.
        first_eligible: Index of the first epoch that may become the best.
    """

    def __init__(
        self,
        run: RunDirectory,
        history: History,
        model: keras.Model,
        *,
        steps: int,
        as_given: Callable[[], AbstractContextManager],
        patience: int | None,
        checkpoint_steps: int | None,
        first_eligible: int,
    ):
        super().__init__()
        self._run = run
        self._history = history
        self._whole = model
        self._steps = steps
        self._as_given = as_given
        self._patience = patience
        self._checkpoint_steps = checkpoint_steps
        self._first_eligible = first_eligible

    def on_epoch_begin(self, epoch, logs=None):
        """Goes on with the metrics of an epoch that was interrupted; here Keras has just set them to zero."""
        self._done_before = self._history.step
        if self._done_before:
            self._run.restore_metrics(self.model)

    def on_train_batch_end(self, batch, logs=None):
        """Stops a run whose loss is no number any more, and keeps a checkpoint when it is time."""
        done = self._done_before + batch + 1
        if not math.isfinite(logs["loss"]):
            raise InputError(
                f"the loss became {logs['loss']} in epoch {len(self._history) + 1}, step {done}; "
                f"try a lower optimizer.lr. {self._last_good()}"
            )
        if self._done_before and done >= self._steps:
            self.model.stop_training = True  # Keras would take as many batches as in a whole epoch
        elif done < self._steps and done - self._history.step >= (self._checkpoint_steps or self._steps):
            self._history.step = done
            self._keep(f"step {done} of epoch {len(self._history) + 1}", is_best=False)

    def on_test_begin(self, logs=None):
        """The end of an epoch is not that of the run."""
        self.model.stop_training = False

    def on_epoch_end(self, epoch, logs=None):
        """Records the epoch."""
        number = len(self._history) + 1
        if not all(math.isfinite(value) for value in logs.values()):
            raise InputError(f"the metrics of epoch {number} are {logs}; try a lower optimizer.lr. {self._last_good()}")
        rate = max(learning_rate_of(self.model.optimizer, variable) for variable in self.model.trainable_variables)
        self._history.epochs.append({name: float(value) for name, value in logs.items()} | {"learning_rate": rate})
        self._history.step = 0
        is_best = self._history.best_epoch(self._first_eligible) == number - 1
        self._keep(f"epoch {number}", is_best=is_best)
        if self._history.is_exhausted(self._patience, self._first_eligible):
            self.model.stop_training = True

    def _keep(self, what: str, *, is_best: bool) -> None:
        try:
            self._run.save_checkpoint(
                self._whole, self.model, self._history, is_best=is_best, as_kept=self._as_validated
            )
        except OSError as error:
            raise InputError(
                f"{what} cannot be kept in {self._run.path}: {_reason(error)}. {self._last_good()}"
            ) from error

    @contextmanager
    def _as_validated(self) -> Iterator[None]:
        with averaged_weights(self.model), self._as_given():
            yield

    def _last_good(self) -> str:
        return f"Last good checkpoint: {self._run.last_checkpoint() or 'none yet'}."


def _reason(error: OSError) -> str:
    """What the system says; HDF5 has its number within a text of its own."""
    number = error.errno or next(iter(re.findall(r"errno = (\d+)", str(error))), None)
    return os.strerror(int(number)) if number else first_line(error)
