"""Datasets of signals by path: folders of WAV, NumPy and CSV files, tables, and .npz archives."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ...core.arguments import Seed, check_arguments
from ...core.array_files import read_array_header
from ...core.errors import InputError
from ...core.input_files import check_file
from ...core.limits import IMAGE_BYTES, TABLE_BYTES
from ...zoo.image_sources import image_files, is_hidden, sub_folders
from ...zoo.signal_files import SUFFIXES, are_numbers, read_arrays, read_signal
from .arrays import dataset_of_signals
from .folder_names import split_names
from .images import ImageData
from .splitting import SPLIT_NAMES, SPLITS
from .tables import Table, read_table, splits_of, targets_of

FORMS = "a folder of class folders with .wav, .npy or .csv files, a .csv table, or an .npz file"
ARRAYS = ("signals", "x", "X")
LABELS = ("label", "labels")
FEWEST_SAMPLES = 2
TARGETS = ("targets", "y", "Y")
"""Names of arrays in .npz files, perhaps with `_train`, `_val` or `_test` after them."""


@dataclass
class _Signals:
    """Signals of one split, with their targets."""

    signals: list[np.ndarray] | np.ndarray = field(default_factory=list)
    targets: Any = field(default_factory=list)


def has_signals(source: str | Path) -> bool:
    """Return whether a source has signals rather than images: files of signals in folders, or a table of them."""
    path = Path(source)
    if path.suffix.lower() in (".npz", ".csv") and path.is_file():
        return path.suffix.lower() == ".npz" or _is_table(path)
    first = next(iter(_class_files(path, first=True).values()), {}) if path.is_dir() else {}
    files = [file for of_class in first.values() for file in of_class]
    if not files or (files[0].suffix.lower() == ".npy" and _is_image(files[0])):
        return False
    return all(file.suffix.lower() == ".npy" for file in image_files(path))


def _is_image(path: Path) -> bool:
    """Return whether a .npy file has three axes, as images have."""
    try:
        with path.open("rb") as file:
            return len(read_array_header(file, IMAGE_BYTES.value)[0]) == 3
    except (InputError, OSError):
        return False  # whoever reads it says what is wrong


def _is_table(path: Path) -> bool:
    """Return whether a CSV file has a column of signals, or numbers beside a label in its first row."""
    try:
        check_file(path, TABLE_BYTES)
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [[value.strip() for value in row] for row in islice(csv.reader(file), 2)]
    except (InputError, OSError, UnicodeDecodeError, csv.Error):
        return False  # whoever reads it as a table of images says what is wrong
    if len(rows) < 2:
        return False
    header, first = rows
    if "signal" in header or "image" in header:
        return "signal" in header
    others = [value for name, value in zip(header, first, strict=False) if name not in (*LABELS, "split")]
    return bool({*LABELS} & {*header}) and len(others) >= FEWEST_SAMPLES and are_numbers(others)


@check_arguments
def load_signals(
    source: str | Path,
    *,
    length: int | None = None,
    channels: int | None = None,
    sample_rate: int | None = None,
    seed: Seed = 0,
    value_range: tuple[float, float] | None = None,
    ordered: bool = False,
) -> ImageData:
    """Load a dataset of signals, and split it if it is not split yet, as `load_data` does.

    Args:
        source: One of

            - a folder with a folder for each class, or with folders of the splits that have these, of .wav files, .npy
              files `(length,)` or `(length, channels)`, or .csv files with a row for each sample;
            - a CSV file with the path of each signal in its column `signal`, and targets and splits as a table of
              images has them; or one with a signal in each row: `label` (or `labels`), perhaps `split`, and any other
              columns with the samples in their order;
            - an .npz file with `signals` (or `x`) and `targets` (or `y`), or `x_train`, `y_train`, `x_test`, `y_test`;
              `labels` may name the classes.
        length: Samples of each signal: longer ones are cut at the end, and zeros are put after shorter ones. If None,
            all must have one length.
        channels: Channels that each must have; two of a WAV file become one where 1 is asked for (their mean).
        sample_rate: Rate in Hz to which WAV files of another one are resampled. If None, all must have one rate.
        seed: Seed for the split.
        value_range: As in `from_signals`.
        ordered: As in `from_signals`, for tables and .npz files, whose rows have an order.

    Raises:
        InputError: There is no such source, a file cannot be read, or signals differ in rate, length or channels.
    """
    path = Path(source)
    options: dict[str, Any] = {"seed": seed, "value_range": value_range, "source": str(source), "ordered": ordered}
    fit = _Fit(length, channels, sample_rate)
    if path.suffix.lower() == ".npz":
        parts, labels = _of_archive(path)
        options["labels"] = labels
    elif path.suffix.lower() == ".csv":
        parts, of_targets = _of_table(path, fit)
        options |= of_targets
    elif path.is_dir() and ordered:
        raise InputError(f"ordered is True, but the files of {source} have no order; list them in a table.")
    elif path.is_dir() and (files := _class_files(path)):
        parts, options["labels"] = _of_folders(path, files, fit)
    else:
        raise InputError(f"{source} has no signals; they are {FORMS}.")
    if "train" not in parts:
        raise InputError(f"{source} has {', '.join(parts)} but no signals for training.")
    arrays = {name: _stacked(part.signals, fit, str(source)) for name, part in parts.items()}
    return dataset_of_signals(arrays, {name: part.targets for name, part in parts.items()}, **options)


class _Fit:
    """What signals must have in common, and how they get there."""

    def __init__(self, length: int | None, channels: int | None, sample_rate: int | None) -> None:
        for name, value in {"length": length, "channels": channels, "sample_rate": sample_rate}.items():
            if value is not None and value < 1:
                raise InputError(f"{name} is {value}; it takes 1 or more.")
        self.length, self.channels, self.sample_rate = length, channels, sample_rate
        self._first: tuple[Path, int | None, tuple[int, ...]] | None = None

    def read(self, path: Path) -> np.ndarray:
        """Read a file; raises InputError where it differs from the first one."""
        samples, rate = read_signal(path, sample_rate=self.sample_rate)
        samples = self(samples, str(path))
        first, known_rate, shape = self._first = self._first or (path, rate, samples.shape)
        if rate != known_rate:
            raise InputError(f"{path} has {rate} samples a second and {first} {known_rate}; state sample_rate.")
        if samples.shape[0] != shape[0]:
            raise InputError(
                f"{path} has {samples.shape[0]:,} samples and {first} {shape[0]:,}; state length, to which they are "
                "cut or filled with zeros."
            )
        if samples.shape[1] != shape[1]:
            raise InputError(f"{path} has {samples.shape[1]} channels and {first} {shape[1]}; state channels=1.")
        return samples

    def __call__(self, samples: np.ndarray, name: str) -> np.ndarray:
        """Return one signal `(length, channels)`, or several `(count, length, channels)`, in that length."""
        if self.channels == 1 and samples.shape[-1] > 1:
            samples = samples.mean(axis=-1, keepdims=True)
        if self.channels is not None and samples.shape[-1] != self.channels:
            raise InputError(f"{name} has {samples.shape[-1]} channels, not {self.channels}.")
        if self.length is None:
            return samples
        samples = samples[..., : self.length, :]
        missing = self.length - samples.shape[-2]
        return np.pad(samples, [(0, 0)] * (samples.ndim - 2) + [(0, missing), (0, 0)]) if missing else samples


def _stacked(signals: list[np.ndarray] | np.ndarray, fit: _Fit, source: str) -> np.ndarray:
    if isinstance(signals, list):
        return np.stack(signals)
    signals = signals[..., np.newaxis] if signals.ndim == 2 else signals
    return fit(signals, source) if signals.ndim == 3 else signals


def _class_files(folder: Path, *, first: bool = False) -> dict[str, dict[str, list[Path]]]:
    """Return the files of signals by split and class; of the first class that has any alone if `first`."""
    inside = sub_folders(folder)
    named = split_names(entry.name for entry in inside)
    parts = (
        {named[entry.name]: entry for entry in inside} if inside and len(named) == len(inside) else {"train": folder}
    )
    found: dict[str, dict[str, list[Path]]] = {}
    for split, part in parts.items():
        for entry in sub_folders(part):
            files = sorted(
                file for file in entry.rglob("*") if file.suffix.lower() in SUFFIXES and not is_hidden(file.name)
            )
            if files:
                found.setdefault(split, {})[entry.name] = files
                if first:
                    return found
    return found


def _of_folders(
    folder: Path, files: dict[str, dict[str, list[Path]]], fit: _Fit
) -> tuple[dict[str, _Signals], Sequence[str]]:
    labels = sorted({name for classes in files.values() for name in classes})
    if len(labels) < 2:
        raise InputError(f"{folder} has {len(labels)} class folders with signals; it takes 2 or more.")
    parts: dict[str, _Signals] = {}
    for split in (name for name in SPLITS if name in files):
        part = parts[split] = _Signals()
        for name, paths in sorted(files[split].items()):
            part.signals += [fit.read(path) for path in paths]
            part.targets += [labels.index(name)] * len(paths)
    return parts, labels


def _of_table(path: Path, fit: _Fit) -> tuple[dict[str, _Signals], dict[str, Any]]:
    table = read_table(path, None)
    names = [name for name in table.columns if name not in ("signal", "split")]
    if "signal" in table.columns:
        targets = targets_of(table, names)
        signals: Any = [fit.read(path.parent / value) for value in table.columns["signal"]]
    else:
        target = next((name for name in LABELS if name in names), None)
        if target is None:
            raise InputError(
                f"{path} has no column 'signal' with paths, and none 'label' or 'labels' beside samples; its first row "
                "names its columns."
            )
        targets = targets_of(table, [target])
        signals = _samples(table, [name for name in names if name != target])
    splits = splits_of(table)
    tasks = {name: each.task for name, each in targets.items()}
    labels = {name: each.labels for name, each in targets.items()}
    parts = {}
    for split in (name for name in SPLITS if name in splits):
        rows = np.flatnonzero(splits == split)
        chosen = [signals[row] for row in rows] if isinstance(signals, list) else signals[rows]
        of_split = {name: each.at(rows).rows for name, each in targets.items()}
        parts[split] = _Signals(chosen, of_split.get("", of_split))
    return parts, {"task": tasks.get("", tasks), "labels": labels.get("", labels)}


def _samples(table: Table, columns: list[str]) -> np.ndarray:
    """Return the columns of samples as signals of one channel, `(count, length)`."""
    if len(columns) < FEWEST_SAMPLES:
        raise InputError(f"{table.path} has {len(columns)} columns of samples; a signal takes 2 or more.")
    samples = np.empty((len(table.lines), len(columns)), "float32")
    for number, name in enumerate(columns):
        samples[:, number] = table.read(name, float)
    return samples


def _of_archive(path: Path) -> tuple[dict[str, _Signals], Sequence[str] | None]:
    arrays = read_arrays(path)
    labels = arrays.pop("labels", None)
    parts: dict[str, _Signals] = {}
    for suffix, split in (("", "train"), *((f"_{name}", split) for name, split in SPLIT_NAMES.items())):
        signals = next((arrays[name + suffix] for name in ARRAYS if name + suffix in arrays), None)
        targets = next((arrays[name + suffix] for name in TARGETS if name + suffix in arrays), None)
        if signals is not None and targets is not None and split not in parts:
            parts[split] = _Signals(signals, targets)
    if not parts:
        raise InputError(
            f"{path} has the arrays {', '.join(arrays) or 'none'}; it takes signals and targets, or x_train, y_train, "
            "x_test and y_test."
        )
    return {name: parts[name] for name in SPLITS if name in parts}, None if labels is None else labels.astype(
        str
    ).tolist()
