"""Callbacks of the user: their states travel with the checkpoints of a run, as plain values.

The state of a callback is what `get_state()` returns and `set_state(state)` takes, if it has both. Otherwise it is
those of its attributes that training has changed and that hold None, numbers, strings, NumPy arrays, or lists, tuples
and dicts of these. Nothing else is saved, and nothing in a checkpoint is executed.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ....core.errors import InputError
from ..checkpoints import save_arrays

FILE, ARRAYS = "callbacks.json", "callbacks.npz"
OF_KERAS = {"_model", "model", "params", "validation_data"}
"""Attributes that Keras sets, as it does the sign of `min_delta` of EarlyStopping."""
DONE_BY_THE_RUN = {
    keras.callbacks.BackupAndRestore: "continue an interrupted run with run_dir and resume",
    keras.callbacks.SwapEMAWeights: "average the weights by optimizer.ema of the recipe",
}
SETS_LEARNING_RATE = (keras.callbacks.LearningRateScheduler, keras.callbacks.ReduceLROnPlateau)


def check_callbacks(callbacks: Sequence[keras.callbacks.Callback]) -> None:
    """Raise InputError for a callback that would set what the recipe decides."""
    for callback in callbacks:
        for kind, remedy in DONE_BY_THE_RUN.items():
            if isinstance(callback, kind):
                raise InputError(f"callbacks: {kind.__name__} does what a run does itself; leave it out, and {remedy}.")
        if isinstance(callback, SETS_LEARNING_RATE):
            raise InputError(
                f"callbacks: {type(callback).__name__} sets the learning rate, as the recipe's schedule does; leave it "
                "out, and use schedule, for example {name: plateau}."
            )


class UserCallbacks(keras.callbacks.Callback):
    """Saves and restores the states of the callbacks before it in the list.

    Args:
        callbacks: The callbacks of the user.
        checkpoint: Folder of the checkpoint that the run continues from; None for a new run or phase.
        within_epoch: Whether that checkpoint is within an epoch, whose beginning the callbacks see again.
    """

    def __init__(self, callbacks: Sequence[keras.callbacks.Callback], checkpoint: Path | None, *, within_epoch: bool):
        super().__init__()
        self._callbacks = callbacks
        self._checkpoint = checkpoint
        self._within_epoch = within_epoch
        self._initial: list[dict[str, str]] = []

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Restore the states, which the callbacks have just initialized."""
        self._initial = [
            {name: _fingerprint(value) for name, value in _plain_attributes(callback).items()}
            for callback in self._callbacks
        ]
        self._restore()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Restore the states in the middle of an epoch."""
        if self._within_epoch:
            self._within_epoch = False
            self._restore()

    def save(self, folder: Path) -> None:
        """Write the states to a checkpoint.

        Raises:
            InputError: The result of a `get_state` is not plain.
        """
        if not self._callbacks:
            return
        arrays: list[np.ndarray] = []
        states = [
            _encode(self._state(callback, initial), arrays)
            for callback, initial in zip(self._callbacks, self._initial, strict=True)
        ]
        (folder / FILE).write_text(json.dumps(states), encoding="utf-8")
        save_arrays(folder / ARRAYS, arrays)

    def _state(self, callback: keras.callbacks.Callback, initial: dict[str, str]) -> Any:
        if not _has_own_state(callback):
            attributes = _plain_attributes(callback)
            return {name: value for name, value in attributes.items() if initial.get(name) != _fingerprint(value)}
        state = callback.get_state()
        if not _is_plain(state):
            raise InputError(
                f"callbacks: get_state() of {type(callback).__name__} returned a {type(state).__name__} with other "
                "values than None, numbers, strings, arrays, and lists, tuples and dicts of these."
            )
        return state

    def _restore(self) -> None:
        if self._checkpoint is None or not (self._checkpoint / FILE).exists():
            return
        states = json.loads((self._checkpoint / FILE).read_text(encoding="utf-8"))
        with np.load(self._checkpoint / ARRAYS) as archive:
            arrays = list(archive.values())
        for callback, encoded in zip(self._callbacks, states, strict=True):
            state = _decode(encoded, arrays)
            if _has_own_state(callback):
                callback.set_state(state)
            else:
                vars(callback).update(state)


def _has_own_state(callback: keras.callbacks.Callback) -> bool:
    return hasattr(callback, "get_state") and hasattr(callback, "set_state")


def _plain_attributes(callback: keras.callbacks.Callback) -> dict[str, Any]:
    others = OF_KERAS | ({"min_delta"} if isinstance(callback, keras.callbacks.EarlyStopping) else set())
    return {name: value for name, value in vars(callback).items() if name not in others and _is_plain(value)}


def _is_plain(value: Any) -> bool:
    if type(value) in (list, tuple):
        return all(map(_is_plain, value))
    if type(value) is dict:
        return all(map(_is_plain, value)) and all(map(_is_plain, value.values()))
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype.kind in "biufcSU"
    return value is None or type(value) in (bool, int, float, str)


def _fingerprint(value: Any) -> str:
    arrays: list[np.ndarray] = []
    digest = hashlib.sha256(json.dumps(_encode(value, arrays)).encode())
    for array in arrays:
        digest.update(repr((array.dtype, array.shape)).encode() + array.tobytes())
    return digest.hexdigest()


def _encode(value: Any, arrays: list[np.ndarray]) -> Any:
    """Return a plain value in the types of JSON; arrays are appended to `arrays`."""
    if isinstance(value, np.ndarray | np.generic):
        arrays.append(np.asarray(value))
        return {"array": len(arrays) - 1}
    if isinstance(value, list):
        return [_encode(item, arrays) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [_encode(item, arrays) for item in value]}
    if isinstance(value, dict):
        return {"dict": [[_encode(key, arrays), _encode(item, arrays)] for key, item in value.items()]}
    return value


def _decode(value: Any, arrays: list[np.ndarray]) -> Any:
    if isinstance(value, list):
        return [_decode(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "array":
        array = arrays[content]
        return array if array.shape else array[()]
    items = [_decode(item, arrays) for item in content]
    return tuple(items) if kind == "tuple" else dict(items)
