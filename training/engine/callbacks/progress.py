"""Progress of a run on standard error."""

import time
from types import TracebackType
from typing import Any, Self

import keras
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ....core.safe_console import SafeConsole
from ....core.visible_text import visible_line


class ProgressBar(keras.callbacks.Callback):
    """Shows epochs, throughput, remaining time and metrics on standard error: a bar on a terminal, otherwise lines.

    Args:
        title: Title of the run.
        epochs: Epochs of the phase.
        steps: Batches per epoch.
        done: Batches of the phase that were done before.
        images: Images per epoch.
        quiet: Show nothing.
    """

    def __init__(self, title: str, *, epochs: int, steps: int, done: int, images: int, quiet: bool = False):
        super().__init__()
        self._title, self._epochs, self._steps, self._images = visible_line(title), epochs, steps, images
        self._done_before_epoch = done
        self._console = SafeConsole(stderr=True, quiet=quiet)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("epoch {task.fields[epoch]}  {task.fields[speed]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[metrics]}", markup=False),
            console=self._console,
            disable=quiet or not self._console.is_terminal,
        )
        self._task = self._progress.add_task(
            self._title,
            total=epochs * steps,
            completed=done,
            epoch=f"{done // steps + 1}/{epochs}",
            speed="",
            metrics="",
        )
        self._throughput = Throughput(images / steps)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Show the bar."""
        self._progress.start()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Start to measure the throughput of the epoch."""
        self._progress.update(self._task, epoch=f"{epoch + 1}/{self._epochs}")
        self._throughput = Throughput(self._images / self._steps)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Advance by a batch, or by the batches of one execution."""
        self._throughput.update(batch + 1)
        completed = self._done_before_epoch + batch + 1
        self._progress.update(self._task, completed=completed, speed=str(self._throughput))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Show the metrics."""
        self._done_before_epoch = (epoch + 1) * self._steps
        # A model with several outputs reports a loss for each; only their sum is shown.
        shown = [name for name in logs if name.startswith("val_") and not name.endswith("_loss")]
        metrics = visible_line("  ".join(f"{name} {logs[name]:.3f}" for name in ("loss", "val_loss", *shown)))
        self._progress.update(self._task, metrics=metrics)
        done = epoch + 1
        if not self._console.is_terminal and (done == self._epochs or done % max(1, self._epochs // 10) == 0):
            line = f"{self._title}: epoch {done}/{self._epochs}  {metrics}  {self._throughput}"
            self._console.print(line, soft_wrap=True)

    def __enter__(self) -> Self:
        """Return the bar; it is shown once training begins."""
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the bar as it is, also after an error."""
        self._progress.stop()


class Throughput:
    """Images per second in an epoch, measured from the end of its first batch because Keras compiles before that.

    Args:
        images: Mean number of images per batch.
    """

    def __init__(self, images: float):
        self._images = images
        self._first: tuple[int, float] | None = None
        self._last = (0, 0.0)

    def update(self, batches: int) -> None:
        """Record that this many batches of the epoch are done."""
        self._last = (batches, time.perf_counter())
        self._first = self._first or self._last

    def __str__(self) -> str:
        """Return the throughput; an empty string after a single measurement."""
        if not self._first or self._last[0] == self._first[0]:
            return ""
        batches, seconds = (last - first for last, first in zip(self._last, self._first, strict=True))
        return f"{batches * self._images / seconds:,.0f} images/s"
