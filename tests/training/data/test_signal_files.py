"""Signals in files: WAV, NumPy and CSV, in folders, tables and archives; read safely, and as they were written."""

import csv
import io
import wave

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketzoo import training, zoo
from pocketzoo.training.data.signal_sources import has_signals
from pocketzoo.zoo.signal_files import read_arrays, read_signal

pytestmark = pytest.mark.fast


def signals(count=30, length=9, channels=2, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (count, length, channels)).astype("float32")


def write_wave(path, samples, *, bits=16, rate=8000):
    whole = np.round(samples * (2 ** (bits - 1) - 1)).astype("int64") + (128 if bits == 8 else 0)
    content = whole.astype("<i4" if bits == 24 else {8: "u1", 16: "<i2", 32: "<i4"}[bits])
    data = content.tobytes() if bits != 24 else content.reshape(-1, 1).view("u1")[:, :3].tobytes()
    with wave.open(str(path), "wb") as file:
        file.setparams((samples.shape[-1], bits // 8, rate, 0, "NONE", ""))
        file.writeframes(data)


def write_rows(path, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def class_folders(folder, suffix, count=12, length=9, **options):
    for number, samples in enumerate(signals(count, length)):
        part = folder / ("yes" if number % 2 else "no")
        part.mkdir(exist_ok=True, parents=True)
        path = part / f"{number}{suffix}"
        if suffix == ".wav":
            write_wave(path, samples, **options)
        elif suffix == ".npy":
            np.save(path, samples)
        else:
            write_rows(path, [["left", "right"], *samples.tolist()])
    return folder


@pytest.mark.parametrize("suffix", [".wav", ".npy", ".csv"])
def test_class_folders_of_signals_are_a_dataset(tmp_path, suffix):
    data = training.load_data(class_folders(tmp_path, suffix))
    assert (data.labels, data.image_shape, data.pixel_range) == (("no", "yes"), (9, 2), (-1, 1))
    read = np.concatenate([split.arrays()[0] for split in (data.train, data.validation, data.test)])
    written = signals(12)
    assert max(np.abs(written - each).max(axis=(1, 2)).min() for each in read) < 1e-4


def test_folders_of_splits_are_kept_and_other_folders_are_images(tmp_path):
    for split in ("train", "val", "test"):
        class_folders(tmp_path / split, ".npy", {"train": 12, "val": 4, "test": 6}[split])
        for path in (tmp_path / split).rglob("*.npy"):
            np.save(path, np.load(path) / {"train": 1, "val": 2, "test": 4}[split])
    data = training.load_signals(tmp_path)
    assert (len(data.train), len(data.validation), len(data.test)) == (12, 4, 6)
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    assert not has_signals(tmp_path / "photos")


@given(
    st.sampled_from([8, 16, 24, 32]),
    st.integers(1, 3),
    st.integers(1, 20),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=40)
def test_wave_files_of_any_width_read_back(tmp_path_factory, bits, channels, length, seed):
    path = tmp_path_factory.getbasetemp() / "any.wav"
    samples = signals(1, length, channels, seed)[0]
    write_wave(path, samples, bits=bits, rate=44100)
    found, rate = read_signal(path)
    assert (rate, found.shape, found.dtype) == (44100, (length, channels), np.float32)
    np.testing.assert_allclose(found, samples, atol=2.0 ** (2 - bits) + 1e-6)


@given(st.sampled_from(["wav", "npy", "npz"]), st.data())
@settings(max_examples=60)
def test_damaged_files_are_refused_or_read_as_numbers(tmp_path_factory, kind, data):
    path = tmp_path_factory.getbasetemp() / f"damaged.{kind}"
    content = io.BytesIO()
    if kind == "wav":
        write_wave(path, signals(1)[0])
        whole = path.read_bytes()
    else:
        (np.save if kind == "npy" else lambda file, x: np.savez(file, x=x))(content, signals(1)[0])
        whole = content.getvalue()
    position = data.draw(st.integers(0, min(len(whole) - 1, 120)))
    changed = whole[:position] + bytes([data.draw(st.integers(0, 255))]) + whole[position + 1 :]
    for damaged in (changed, whole[: data.draw(st.integers(0, len(whole) - 1))]):
        path.write_bytes(damaged)
        try:
            found = read_arrays(path) if kind == "npz" else read_signal(path)[0]
        except zoo.InputError:
            continue
        for array in found.values() if kind == "npz" else [found]:
            assert array.nbytes <= max(10 * len(whole), 1000)


def test_rates_lengths_and_channels_become_equal_only_where_that_is_asked_for(tmp_path):
    class_folders(tmp_path, ".wav", 12, 80)
    write_wave(tmp_path / "no" / "other.wav", signals(1, 160, seed=5)[0], rate=16000)
    with pytest.raises(zoo.InputError, match=r"samples a second and .*; state sample_rate"):
        training.load_signals(tmp_path)
    data = training.load_signals(tmp_path, sample_rate=8000)
    assert data.image_shape == (80, 2)
    write_wave(tmp_path / "no" / "other.wav", signals(1, 50, seed=5)[0])
    with pytest.raises(zoo.InputError, match="state length, to which they are"):
        training.load_data(tmp_path)
    data = training.load_data(tmp_path, length=100, channels=1)
    assert data.image_shape == (100, 1)
    assert not data.train.arrays()[0][:, 80:].any()
    with pytest.raises(zoo.InputError, match=r"image_size is 32, but .* has signals"):
        training.load_data(tmp_path, image_size=32)


def test_resampling_keeps_a_tone(tmp_path):
    tone = np.sin(2 * np.pi * 440 * np.arange(3200) / 16000)[:, None] * 0.5
    write_wave(tmp_path / "tone.wav", tone, rate=16000)
    found, rate = read_signal(tmp_path / "tone.wav", sample_rate=8000)
    assert (rate, len(found)) == (8000, 1600)
    assert np.abs(np.fft.rfft(found[:, 0])).argmax() == 440 * 1600 // 8000


def test_table_of_files_and_table_of_rows_have_the_targets_of_tables(tmp_path):
    (tmp_path / "files").mkdir()
    rows = []
    for number, samples in enumerate(signals(24)):
        np.save(tmp_path / "files" / f"{number}.npy", samples)
        rows.append([f"files/{number}.npy", number / 10, "test" if number > 17 else "train"])
    write_rows(tmp_path / "table.csv", [["signal", "speed", "split"], *rows])
    data = training.load_data(tmp_path / "table.csv")
    assert (data.task, data.labels, data.image_shape, len(data.test)) == ("regression", ("speed",), (9, 2), 6)
    flat = signals(24)[..., 0]
    lines = [["no" if number % 2 else "yes", *samples.tolist()] for number, samples in enumerate(flat)]
    write_rows(tmp_path / "rows.csv", [["label", *map(str, range(9))], *lines])
    data = training.load_data(tmp_path / "rows.csv")
    assert (data.task, data.labels, data.image_shape) == ("classification", ("no", "yes"), (9, 1))
    assert np.abs(data.train.arrays()[0][0] - flat[..., None]).max(axis=(1, 2)).min() < 1e-6


@pytest.mark.parametrize("names", ["signals targets", "x_train y_train x_test y_test"])
def test_archive_has_its_splits_and_labels(tmp_path, names):
    parts = names.split()
    arrays = {parts[0]: signals(24), parts[1]: np.arange(24) % 2}
    if len(parts) > 2:
        arrays |= {parts[2]: signals(8, seed=1), parts[3]: np.arange(8) % 2}
    np.savez(tmp_path / "all.npz", labels=np.array(["no", "yes"]), **arrays)
    data = training.load_data(tmp_path / "all.npz")
    assert (data.labels, data.image_shape) == (("no", "yes"), (9, 2))
    assert len(data.test) == (8 if len(parts) > 2 else 4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: np.savez(folder / "a.npz", z=np.zeros(3)), "has the arrays z; it takes signals and targets"),
        (lambda folder: np.savez(folder / "a.npz", x=np.array([{}]), y=np.zeros(1)), "has Python objects"),
        (lambda folder: (folder / "a.npz").write_bytes(b"PK\3\4"), "cannot be read as a NumPy file"),
        (lambda folder: write_rows(folder / "a.csv", [["label", "a", "b"], ["x", 1, 2], ["y", 1, "n"]]), "line 3"),
        (
            lambda folder: write_rows(folder / "a.csv", [["signal", "label"], ["no.wav", "x"], ["no.wav", "y"]]),
            "there is no such file",
        ),
        (
            lambda folder: write_rows(folder / "a.csv", [["signal", "mask"], ["a.wav", "a.png"]]),
            "column 'mask' has targets of images, those of segmentation; signals take label",
        ),
        (
            lambda folder: write_rows(folder / "a.csv", [["signal", "keypoints"], ["a.wav", "1 2 2"]]),
            "column 'keypoints' has targets of images, those of keypoints",
        ),
    ],
)
def test_wrong_archives_and_tables_are_refused(tmp_path, make, message):
    make(tmp_path)
    with pytest.raises(zoo.InputError, match=message):
        training.load_data(next(tmp_path.iterdir()))


def test_wrong_files_in_folders_are_named(tmp_path):
    class_folders(tmp_path, ".wav")
    (tmp_path / "no" / "float.wav").write_bytes(
        b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\3\0\1\0\x40\x1f\0\0\0\x7d\0\0\4\0\x20\0data\0\0\0\0"
    )
    with pytest.raises(zoo.InputError, match=r"float.wav cannot be read as a WAV file: unknown format"):
        training.load_data(tmp_path)
    np.save(tmp_path / "no" / "float.npy", np.zeros((2, 2, 2)))
    (tmp_path / "no" / "float.wav").unlink()
    with pytest.raises(zoo.InputError, match=r"float.npy has float64 of the shape \(2, 2, 2\)"):
        training.load_data(tmp_path)
