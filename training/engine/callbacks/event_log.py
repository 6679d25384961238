"""Curves for TensorBoard.

Keras' own callback needs the package `tensorboard` to write; TensorFlow alone can write what that package draws.
"""

import shutil
from pathlib import Path

import keras
import tensorflow as tf

from ..history import History

SCALARS = tf.compat.v1.SummaryMetadata(plugin_data={"plugin_name": "scalars"})


class EventLog(keras.callbacks.Callback):
    """Writes the metrics of every epoch as TensorBoard's scalars, `train` and `validation` as two curves of one chart.

    Args:
        folder: Where to; what is there is replaced, by all epochs of the history so far.
        history: Of the run; this callback comes behind the one that adds to it.
    """

    def __init__(self, folder: Path, history: History):
        super().__init__()
        self._folder = folder
        self._history = history

    def on_train_begin(self, logs=None):
        """Begins anew, so that epochs that were lost in a crash do not come twice."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._writers = {
            name: tf.summary.create_file_writer(str(self._folder / name)) for name in ("train", "validation")
        }
        for number in range(len(self._history)):
            self._write(number)

    def on_epoch_end(self, epoch, logs=None):
        """Adds the epoch."""
        self._write(len(self._history) - 1)

    def on_train_end(self, logs=None):
        """Closes the files."""
        for writer in self._writers.values():
            writer.close()

    def _write(self, number: int) -> None:
        for name, value in self._history.epochs[number].items():
            writer = self._writers["validation" if name.startswith("val_") else "train"]
            with writer.as_default():
                tag, step = name.removeprefix("val_"), number + 1
                tf.summary.write(tag, tf.constant(value, tf.float32), step, metadata=SCALARS)
        for writer in self._writers.values():
            writer.flush()
