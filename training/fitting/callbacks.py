"""Callbacks: record and stop, and show progress."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ...zoo.errors import InputError
from .history import History
from .run_directory import RunDirectory


class Recorder(keras.callbacks.Callback):
    """Keeps history, checkpoint and best model after every epoch, and stops when nothing gets better.

    Everything it decides follows from the history, so a resumed run decides as an uninterrupted one would.

    Args:
        run: Where to keep them.
        history: Of the epochs that are already done; grows with the run.
        model: The run's, of which the network that is trained may be a part.
        as_given: A context in which `model` is to be saved.
        patience: Epochs without a better validation loss after which to stop, or None.
        first_eligible: Index of the first epoch that may become the best.
    """

    def __init__(
        self,
        run: RunDirectory,
        history: History,
        model: keras.Model,
        *,
        as_given: Callable[[], AbstractContextManager],
        patience: int | None,
        first_eligible: int,
    ):
        super().__init__()
        self._run = run
        self._history = history
        self._whole = model
        self._as_given = as_given
        self._patience = patience
        self._first_eligible = first_eligible

    def on_train_batch_end(self, batch, logs=None):
        """Stops a run whose loss is no number any more."""
        if not math.isfinite(logs["loss"]):
            raise InputError(
                f"the loss became {logs['loss']} in epoch {len(self._history) + 1}, step {batch + 1}; "
                f"try a lower optimizer.lr. {self._last_good()}"
            )

    def on_epoch_end(self, epoch, logs=None):
        """Records the epoch."""
        number = len(self._history) + 1
        if not all(math.isfinite(value) for value in logs.values()):
            raise InputError(f"the metrics of epoch {number} are {logs}; try a lower optimizer.lr. {self._last_good()}")
        self._history.epochs.append({name: float(value) for name, value in logs.items()})
        try:
            is_best = self._history.best_epoch(self._first_eligible) == number - 1
            with self._as_given():
                self._run.save_checkpoint(self._whole, self.model, self._history, is_best=is_best)
        except OSError as error:
            raise InputError(
                f"epoch {number} cannot be kept in {self._run.path}: {error.strerror or error}. {self._last_good()}"
            ) from error
        if self._history.is_exhausted(self._patience, self._first_eligible):
            self.model.stop_training = True

    def _last_good(self) -> str:
        return f"Last good checkpoint: {self._run.last_checkpoint() or 'none yet'}."


class ProgressBar(keras.callbacks.Callback):
    """Shows epochs, metrics and the time that is left on standard error: a bar on a terminal, else ten lines."""

    def __init__(self, title: str, *, epochs: int, done: int, quiet: bool = False):
        super().__init__()
        self._epochs = epochs
        self._console = Console(stderr=True, quiet=quiet)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[metrics]}"),
            console=self._console,
            disable=quiet or not self._console.is_terminal,
        )
        self._task = self._progress.add_task(title, total=epochs, completed=done, metrics="")
        self._title = title

    def on_train_begin(self, logs=None):
        """Shows the bar."""
        self._progress.start()

    def on_epoch_end(self, epoch, logs=None):
        """Moves on by one epoch."""
        # Of several outputs each has a loss; what is minimised is their sum.
        shown = [name for name in logs if name.startswith("val_") and not name.endswith("_loss")]
        metrics = "  ".join(f"{name} {logs[name]:.3f}" for name in ("loss", "val_loss", *shown))
        self._progress.update(self._task, advance=1, metrics=metrics)
        done = epoch + 1
        if not self._console.is_terminal and (done == self._epochs or done % max(1, self._epochs // 10) == 0):
            self._console.print(f"{self._title}: epoch {done}/{self._epochs}  {metrics}", soft_wrap=True)

    def __enter__(self):
        """Nothing is shown yet: Keras tells when training begins."""
        return self

    def __exit__(self, *error):
        """Leaves the bar as it stands, also when training was stopped by an error."""
        self._progress.stop()
