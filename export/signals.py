"""Signals as images of one row, in which form models of them are exported."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import InputError
from ..core.outputs import map_outputs
from .artifact.tensors import TensorInfo, matches_shape
from .formats import Format

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


def parts_in_floats(
    model: "keras.Model", flat: "keras.Model", targets: Sequence[str], formats: Sequence[Format]
) -> list[str]:
    """Return the names of the layers and operations of the spectrograms of a model, as they are in its flat form.

    Powers of sound differ by many digits, of which 8 bits hold two: these stay in floating point where others do not.

    Raises:
        InputError: A target computes in integers alone.
    """
    from ..core.flat_graph import FlatGraph
    from ..layers import LogMelSpectrogram
    from .conversion.artifact_files import ALL_INTEGERS

    names = [layer.name for layer in model.layers if isinstance(layer, LogMelSpectrogram)]
    integers = [target for target in targets if target.startswith("edge")]
    integers += [fmt.name for fmt in formats if fmt.name in ALL_INTEGERS]
    if names and integers:
        raise InputError(
            f"{model.name} computes a spectrogram, which {integers[0]} cannot: it has no logarithm of integers; export "
            "a net that takes the frames, of an input_shape of (frames, mels), and compute these on the device."
        )
    graph, found = FlatGraph(flat), list[str]()
    for node in graph.nodes if names else ():
        is_after = not node.is_layer and bool(node.inputs) and graph.producer(node.inputs[0]).name in found
        if is_after or any(node.name.startswith(f"{name}_") for name in names):
            found.append(node.name)
    return found


def _targets(targets: Any, outputs: Any) -> Any:
    if isinstance(outputs, dict) != isinstance(targets, dict):
        return targets

    def of(rows: Any, output: Any) -> Any:
        is_map = rows is not None and len(output.shape) == 4
        return np.asarray(rows)[:, np.newaxis] if is_map and np.ndim(rows) < 4 else rows

    return map_outputs(of, targets, outputs)
