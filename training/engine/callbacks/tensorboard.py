"""Training curves for TensorBoard.

Keras' own callback requires the package `tensorboard` for writing; TensorFlow alone can write the same event files.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from ....core.errors import report_write_errors
from ...tensorflow_files import tensorflow_write_errors
from ..history import History

SCALARS = tf.compat.v1.SummaryMetadata(plugin_data={"plugin_name": "scalars"})


class TensorBoardLog(keras.callbacks.Callback):
    """Writes the metrics of every epoch as scalars, `train` and `validation` as two curves in one chart.

    Args:
        folder: Folder of the event files; its content is replaced by all epochs of the history so far.
        history: History of the run. This callback comes after the one that appends to it.
    """

    def __init__(self, folder: Path, history: History):
        super().__init__()
        self._folder = folder
        self._history = history

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Write all epochs again, so that epochs lost in a crash do not appear twice."""
        shutil.rmtree(self._folder, ignore_errors=True)
        with self._errors():
            self._writers = {
                name: tf.summary.create_file_writer(str(self._folder / name)) for name in ("train", "validation")
            }
            for number in range(len(self._history)):
                self._write(number)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Append the epoch."""
        with self._errors():
            self._write(len(self._history) - 1)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Close the event files."""
        with self._errors():
            for writer in self._writers.values():
                writer.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        with report_write_errors(str(self._folder)), tensorflow_write_errors():
            yield

    def _write(self, number: int) -> None:
        for name, value in self._history.epochs[number].items():
            writer = self._writers["validation" if name.startswith("val_") else "train"]
            with writer.as_default():
                tag, step = name.removeprefix("val_"), number + 1
                tf.summary.write(tag, tf.constant(value, tf.float32), step, metadata=SCALARS)
        for writer in self._writers.values():
            writer.flush()
