"""How far a run is."""

import time

import keras
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class ProgressBar(keras.callbacks.Callback):
    """Shows epochs, throughput, the time that is left and metrics on standard error: a bar on a terminal, else lines.

    Args:
        title: What is being done.
        epochs: Of the whole phase.
        steps: Batches in an epoch.
        done: Batches that were done before.
        images: Images in an epoch.
        quiet: Show nothing.
    """

    def __init__(self, title: str, *, epochs: int, steps: int, done: int, images: int, quiet: bool = False):
        super().__init__()
        self._title, self._epochs, self._steps, self._images = title, epochs, steps, images
        self._begun = done
        self._console = Console(stderr=True, quiet=quiet)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("epoch {task.fields[epoch]}  {task.fields[speed]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[metrics]}"),
            console=self._console,
            disable=quiet or not self._console.is_terminal,
        )
        fields = {"epoch": f"{done // steps + 1}/{epochs}", "speed": "", "metrics": ""}
        self._task = self._progress.add_task(title, total=epochs * steps, completed=done, **fields)
        self._speed = Throughput(images / steps)

    def on_train_begin(self, logs=None):
        """Shows the bar."""
        self._progress.start()

    def on_epoch_begin(self, epoch, logs=None):
        """Counts the images of the epoch from here on."""
        self._progress.update(self._task, epoch=f"{epoch + 1}/{self._epochs}")
        self._speed = Throughput(self._images / self._steps)

    def on_train_batch_end(self, batch, logs=None):
        """Moves on by one batch, or as many as one execution takes."""
        self._speed.note(batch + 1)
        self._progress.update(self._task, completed=self._begun + batch + 1, speed=str(self._speed))

    def on_epoch_end(self, epoch, logs=None):
        """Shows the metrics."""
        self._begun = (epoch + 1) * self._steps
        # Of several outputs each has a loss; what is minimised is their sum.
        shown = [name for name in logs if name.startswith("val_") and not name.endswith("_loss")]
        metrics = "  ".join(f"{name} {logs[name]:.3f}" for name in ("loss", "val_loss", *shown))
        self._progress.update(self._task, metrics=metrics)
        done = epoch + 1
        if not self._console.is_terminal and (done == self._epochs or done % max(1, self._epochs // 10) == 0):
            line = f"{self._title}: epoch {done}/{self._epochs}  {metrics}  {self._speed}"
            self._console.print(line, soft_wrap=True, highlight=False)

    def __enter__(self):
        """Nothing is shown yet: Keras tells when training begins."""
        return self

    def __exit__(self, *error):
        """Leaves the bar as it stands, also when training was stopped by an error."""
        self._progress.stop()


class Throughput:
    """Images per second of an epoch, without what comes before its first batch is done (there Keras compiles).

    Args:
        images: In a batch, on average.
    """

    def __init__(self, images: float):
        self._images = images
        self._first: tuple[int, float] | None = None
        self._last = (0, 0.0)

    def note(self, batches: int) -> None:
        """That so many batches of the epoch are done."""
        self._last = (batches, time.perf_counter())
        self._first = self._first or self._last

    def __str__(self) -> str:
        """Nothing where only one measurement was made."""
        if not self._first or self._last[0] == self._first[0]:
            return ""
        batches, seconds = (last - first for last, first in zip(self._last, self._first, strict=True))
        return f"{batches * self._images / seconds:,.0f} images/s"
