"""IDX files and the data sets of Keras: read safely, split as published, without copies across splits."""

import gzip
import struct
from contextlib import suppress

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketzoo import training, zoo
from pocketzoo.training.data import keras_datasets
from pocketzoo.training.data.idx import TYPES, read_idx
from pocketzoo.training.data.sources import check_source, list_source

pytestmark = pytest.mark.fast

FOLDER = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]


def idx(array, kind=8):
    return struct.pack(f">HBB{array.ndim}I", 0, kind, array.ndim, *array.shape) + array.astype(TYPES[kind]).tobytes()


def pictures(count, seed=0, shape=(6, 4)):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), "uint8")


def write(folder, train, test, suffix=""):
    for name, array in zip(FOLDER, (*train, *test), strict=True):
        content = idx(np.asarray(array))
        (folder / (name + suffix)).write_bytes(gzip.compress(content) if suffix else content)
    return folder


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_folder_of_idx_files_keeps_its_test_split_its_size_and_its_channels(tmp_path, suffix):
    images, classes = pictures(60), np.arange(60) % 3
    write(tmp_path, (images[:40], classes[:40]), (images[40:], classes[40:]), suffix)
    data = training.load_data(tmp_path)
    assert (data.labels, data.image_shape, data.interpretation) == (("0", "1", "2"), (6, 4, 1), "")
    assert len(data.train) + len(data.validation) == 40
    shown, labels = data.test.arrays()
    np.testing.assert_array_equal(shown[..., 0], images[40:])
    np.testing.assert_array_equal(labels, classes[40:])


def test_copies_across_splits_and_classes_are_left_out_and_counted(tmp_path):
    images, classes = pictures(50), np.arange(50) % 2
    images[0], classes[0] = images[45], 1 - classes[45]  # in the test, even in another class
    images[1] = images[2]  # in two classes
    write(tmp_path, (images[:40], classes[:40]), (images[40:], classes[40:]))
    data = training.load_data(tmp_path)
    assert len(data.train) + len(data.validation) == 37
    assert len(data.test) == 10
    assert data.interpretation.startswith("3 of 50 images of ")


def test_single_file_of_colors_is_split_and_labels_name_its_classes(tmp_path):
    (tmp_path / "emnist-letters-train-images-idx4-ubyte").write_bytes(idx(pictures(60, shape=(5, 5, 3))))
    (tmp_path / "emnist-letters-train-labels-idx1-ubyte").write_bytes(idx(1 + np.arange(60) % 2))
    (tmp_path / "labels.txt").write_text("a\nb\n")
    data = training.load_data(tmp_path / "emnist-letters-train-images-idx4-ubyte")
    assert (data.labels, data.image_shape) == (("a", "b"), (5, 5, 3))
    assert (len(data.train), len(data.validation), len(data.test)) == (42, 6, 12)


@given(
    st.sampled_from(sorted(TYPES)),
    st.lists(st.integers(1, 5), min_size=1, max_size=3),
    st.booleans(),
    st.data(),
)
@settings(max_examples=60, deadline=None)
def test_any_idx_file_reads_back_and_any_changed_one_is_refused_or_has_its_form(
    tmp_path_factory, kind, shape, zip_, data
):
    array = np.arange(np.prod(shape)).reshape(shape)
    file = tmp_path_factory.getbasetemp() / "array.idx"
    content = gzip.compress(idx(array, kind)) if zip_ else idx(array, kind)
    file.write_bytes(content)
    np.testing.assert_array_equal(read_idx(file), array)
    position = data.draw(st.integers(0, len(content) - 1))
    cut = data.draw(st.integers(0, len(content) - 1))
    for changed in (
        content[:position] + bytes([content[position] ^ data.draw(st.integers(1, 255))]) + content[position + 1 :],
        content[:cut],
        content + b"\1",
    ):
        file.write_bytes(changed)
        with suppress(zoo.InputError):  # any other error fails the test
            assert read_idx(file).size == array.size


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({FOLDER[0]: idx(pictures(9))}, "has no labels beside it"),
        ({FOLDER[2]: idx(pictures(9)), FOLDER[3]: idx(np.zeros(9))}, "has test but no images for training"),
        ({FOLDER[0]: idx(pictures(9)), FOLDER[1]: idx(np.zeros(8))}, "has 9 images, but .* has 8 labels"),
        ({FOLDER[0]: idx(pictures(9), 9), FOLDER[1]: idx(np.zeros(9))}, "int8 of the shape"),
        ({FOLDER[0]: idx(pictures(9)), FOLDER[1]: idx(np.zeros((9, 2)))}, r"has uint8 of the shape \(9, 2\)"),
        ({FOLDER[0]: b"GIF89a" + bytes(20)}, "has no labels beside it"),
        ({FOLDER[0]: b"GIF89a" + bytes(20), FOLDER[1]: idx(np.zeros(9))}, "is no IDX file: it begins with 47 49 46 38"),
        ({FOLDER[0]: idx(pictures(9))[:-1], FOLDER[1]: idx(np.zeros(9))}, "its header says 216: it is damaged"),
        (
            {FOLDER[0]: gzip.compress(struct.pack(">HBB3I", 0, 8, 3, 2**31, 2**31, 2)), FOLDER[1]: idx(np.zeros(9))},
            "POCKETZOO_LIMIT_ARRAY_BYTES",
        ),
        ({"digits-images.idx": idx(pictures(9)), "digits-labels.idx": idx(np.zeros(9))}, "is named after no split"),
        (
            {FOLDER[0]: idx(pictures(9)), FOLDER[1]: idx(np.arange(9) % 2 * 5), "labels.txt": b"no\nyes\n"},
            "labels.txt names 2 classes, but the files have the class 5",
        ),
        (
            {FOLDER[0]: idx(pictures(9)), FOLDER[1]: idx(np.arange(9) % 2), "labels.txt": b"no\nno\n"},
            "labels.txt has no, no; it takes different names",
        ),
    ],
)
def test_wrong_idx_files_are_refused_in_one_sentence(tmp_path, files, message):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(zoo.InputError, match=message):
        list_source(tmp_path)


def published(name, monkeypatch, shape, classes):
    images = np.random.default_rng(0).integers(0, 256, (30 * classes, *shape), "uint8")
    labels = (np.arange(30 * classes) % classes).astype("uint8")[:, np.newaxis]
    half = len(images) // 2
    arrays = (images[:half], labels[:half]), (images[half:], labels[half:])

    def load():
        print("Downloading data from nowhere")
        return arrays

    monkeypatch.setattr(getattr(keras.datasets, name), "load_data", load)
    return arrays


@pytest.mark.parametrize(("name", "shape", "label"), [("mnist", (8, 8), "7"), ("cifar10", (8, 8, 3), "horse")])
def test_data_sets_of_keras_have_the_names_of_their_classes_and_their_splits(monkeypatch, capsys, name, shape, label):
    _, (test_images, test_labels) = published(name, monkeypatch, shape, 10)
    data = training.load_data(f"keras:{name}")
    assert (data.source, data.labels[7], len(data.labels)) == (f"keras:{name}", label, 10)
    images, labels = data.test.arrays()
    np.testing.assert_array_equal(images.squeeze(), test_images)
    np.testing.assert_array_equal(labels, test_labels[:, 0])
    assert capsys.readouterr().out == ""  # which may be JSON


def test_cifar100_has_a_name_for_each_of_its_classes():
    labels = keras_datasets.DATASETS["cifar100"].labels
    assert (len(set(labels)), labels[0], labels[-1], list(labels)) == (100, "apple", "worm", sorted(labels))


def test_missing_data_set_of_keras_says_where_it_looks_and_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))

    def fail():
        raise Exception("URL fetch failure on nowhere")

    monkeypatch.setattr(keras.datasets.cifar10, "load_data", fail)
    with pytest.raises(zoo.InputError, match=rf"URL fetch failure .* copy it to {tmp_path}/datasets here"):
        training.load_data("keras:cifar10")
    monkeypatch.setenv("POCKETZOO_OFFLINE", "1")
    with pytest.raises(
        zoo.InputError, match=r"not in Keras' cache .*cifar-10-.* POCKETZOO_OFFLINE \(--offline\) is set"
    ):
        training.load_data("keras:cifar10")
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / keras_datasets.DATASETS["cifar10"].files[0]).touch()
    with pytest.raises(zoo.InputError, match=r"cannot be read from .*; remove that"):
        training.load_data("keras:cifar10")
    with pytest.raises(zoo.InputError, match="did you mean cifar10 or cifar100"):
        check_source("keras:cifar")


@pytest.mark.skipif(not keras_datasets.DEBIAN.is_dir(), reason="apt install dataset-fashion-mnist")
def test_fashion_mnist_of_debian_is_that_of_keras(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    listing = list_source("keras:fashion_mnist")
    assert (listing.source, len(listing), listing.image_shape) == ("keras:fashion_mnist", 70_000, (28, 28, 1))
    assert np.bincount(listing.targets.rows[listing.splits == "test"]).tolist() == [1000] * 10
    assert listing.targets.labels[listing.targets.rows[0]] == "Ankle boot"  # the first image of the data set
