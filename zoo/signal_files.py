"""Files of signals: WAV, NumPy's .npy and .npz, and CSV with a row for each sample. No header is trusted."""

import csv
import math
import wave
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import numpy as np

from ..core.array_files import read_array_header
from ..core.errors import InputError, first_line
from ..core.input_files import check_file, read_text
from ..core.limits import ARRAY_BYTES, IMAGE_BYTES, TABLE_BYTES

SUFFIXES = (".wav", ".npy", ".csv")
"""Of files with one signal each."""
DAMAGED = (OSError, ValueError, EOFError, zlib.error)
"""What reading of a damaged file raises."""


def read_signal(path: Path, *, sample_rate: int | None = None) -> tuple[np.ndarray, int | None]:
    """Return the samples of a file, float32 `(length, channels)`, and its sample rate in Hz where it states one.

    Samples of WAV files are scaled to -1..1; others keep their values.

    Args:
        path: A .wav, .npy or .csv file.
        sample_rate: Resample a WAV file of another rate to this one.

    Raises:
        InputError: It cannot be read, or has no samples.
    """
    suffix, rate = path.suffix.lower(), None
    if suffix == ".wav":
        samples, rate = _read_wave(path)
        if sample_rate is not None and rate != sample_rate:
            samples, rate = _resampled(samples, rate, sample_rate), sample_rate
    else:
        samples = _read_array(path) if suffix == ".npy" else _read_rows(path)
    samples = samples[:, np.newaxis] if samples.ndim == 1 else samples
    if samples.ndim != 2 or not samples.size or samples.dtype.kind not in "iuf":
        raise InputError(
            f"{path} has {samples.dtype} of the shape {samples.shape}; a signal is numbers (length,) or (length, "
            "channels)."
        )
    return samples.astype("float32"), rate


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz file by name.

    Raises:
        InputError: It is none, is damaged, has Python objects, or more bytes than the limit.
    """
    check_file(path, IMAGE_BYTES)
    try:
        with zipfile.ZipFile(path) as archive:
            ARRAY_BYTES.check(sum(entry.file_size for entry in archive.infolist()), path)
            for entry in archive.infolist():
                with archive.open(entry) as file:
                    _check_header(file, entry.file_size, path)
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (*DAMAGED, KeyError, NotImplementedError, RuntimeError, zipfile.BadZipFile) as error:
        raise _unreadable(path, error) from error


def _read_array(path: Path) -> np.ndarray:
    size = check_file(path, ARRAY_BYTES).stat().st_size
    try:
        with path.open("rb") as file:
            _check_header(file, size, path)
        array: np.ndarray = np.load(path, allow_pickle=False)
    except DAMAGED as error:
        raise _unreadable(path, error) from error
    return array


def _check_header(file: IO[bytes], size: int, path: Path) -> None:
    """Raise InputError where the header of an array states more than its file of so many bytes has."""
    try:
        read_array_header(file, size)
    except InputError as error:
        raise InputError(f"{path} cannot be read as a NumPy file: {error}.") from error


def _read_wave(path: Path) -> tuple[np.ndarray, int]:
    """Return the samples of a WAV file in -1..1, `(length, channels)`, and its sample rate."""
    check_file(path, IMAGE_BYTES)
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, rate, count = file.getparams()[:4]
            content = file.readframes(count)
    except (wave.Error, EOFError, OSError, RuntimeError) as error:
        hint = "; of the numbers in WAV files, whole ones of 8 to 32 bits can be read" if "format" in str(error) else ""
        raise InputError(
            f"{path} cannot be read as a WAV file: {first_line(error) or 'it ends early'}{hint}."
        ) from error
    if not 1 <= width <= 4 or rate < 1:
        raise InputError(f"{path} has {8 * width} bits a sample and {rate} samples a second; bits are 8 to 32.")
    if not content or len(content) != count * channels * width:
        raise InputError(f"{path} is cut short: it has {len(content):,} bytes of {count * channels * width:,}.")
    if width == 1:
        values = np.frombuffer(content, "u1").astype("float32") - 128
    elif width == 3:
        bytes_ = np.frombuffer(content, "u1").reshape(-1, 3)
        values = np.pad(bytes_, ((0, 0), (1, 0))).reshape(-1).view("<i4").astype("float64") / 256
    else:
        values = np.frombuffer(content, f"<i{width}").astype("float64")
    return (values / 2.0 ** (8 * width - 1)).astype("float32").reshape(-1, channels), rate


def _resampled(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    from scipy.signal import resample_poly

    common = math.gcd(rate, wanted)
    resampled: np.ndarray = resample_poly(samples, wanted // common, rate // common, axis=0)
    return resampled


def _read_rows(path: Path) -> np.ndarray:
    """Return the samples of a CSV file: a row for each, with a column for each channel, perhaps under their names."""
    try:
        rows = [row for row in csv.reader(read_text(path, TABLE_BYTES).splitlines(), strict=True) if row]
    except csv.Error as error:
        raise InputError(f"{path} cannot be read as a CSV file: {error}.") from error
    if rows and not are_numbers(rows[0]):
        rows = rows[1:]
    if len({len(row) for row in rows}) > 1:
        raise InputError(
            f"{path} has rows of {min(map(len, rows))} to {max(map(len, rows))} values; give each as many."
        )
    try:
        return np.array(rows, "float32")
    except ValueError as error:
        raise InputError(f"{path} has a value that is no number: {first_line(error)}.") from error


def are_numbers(values: Iterable[str]) -> bool:
    """Return whether all texts are finite numbers."""
    try:
        return all(map(math.isfinite, map(float, values)))
    except ValueError:
        return False


def _unreadable(path: Path, error: Exception) -> InputError:
    if isinstance(error, InputError):
        return error
    return InputError(f"{path} cannot be read as a NumPy file: {first_line(error)}.")
