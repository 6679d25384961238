"""Signals as images of one row, in which form models of them are exported."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.outputs import map_outputs
from .artifact.tensors import TensorInfo, matches_shape

if TYPE_CHECKING:
    import keras


class RowImages:
    """The signals of a split, each as an image of one row."""

    def __init__(self, signals: Any) -> None:
        self._signals = signals
        self.shape = (1, *signals.shape)
        self.dtype = getattr(signals, "dtype", np.dtype("uint8"))

    def __len__(self) -> int:
        """Return the number of signals."""
        return len(self._signals)

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Return the signals at `indices`, `(len(indices), 1, length, channels)`."""
        return with_row(self._signals.take(indices))


def with_row(signals: Any) -> Any:
    """Return signals `(count, length, channels)` as images `(count, 1, length, channels)`; other arrays as they are."""
    return signals[:, np.newaxis] if np.ndim(signals) == 3 else signals


def as_rows_of(tensor: TensorInfo, values: np.ndarray) -> np.ndarray:
    """Return signals, `(count, length, channels)` or `(length, channels)`, as the images of one row that a file takes.

    Values for any other input are returned as they are.
    """
    if (
        not tensor.is_image
        or tensor.image_shape[0] != 1
        or not matches_shape(values.shape[-2:], tensor.image_shape[1:])
    ):
        return values
    return with_row(values if values.ndim != 2 else values[np.newaxis])


def as_row_images(source: Any, planar: "keras.Model") -> Any:
    """Return calibration or evaluation data of a model for signals for its planar form.

    Args:
        source: Signals, a pair (signals, targets), or a split; None stays None.
        planar: The planar form, which tells what outputs have a value for each sample.
    """
    if source is None:
        return None
    outputs = planar.output if isinstance(planar.output, dict) else planar.outputs[0]
    if hasattr(source, "images"):
        if len(source.images.shape) != 2:
            return source
        return replace(source, images=RowImages(source.images), labels=_targets(source.labels, outputs))
    if isinstance(source, tuple) and len(source) == 2:
        return with_row(np.asarray(source[0])), _targets(source[1], outputs)
    return with_row(np.asarray(source))


def _targets(targets: Any, outputs: Any) -> Any:
    if isinstance(outputs, dict) != isinstance(targets, dict):
        return targets

    def of(rows: Any, output: Any) -> Any:
        is_map = rows is not None and len(output.shape) == 4
        return np.asarray(rows)[:, np.newaxis] if is_map and np.ndim(rows) < 4 else rows

    return map_outputs(of, targets, outputs)
