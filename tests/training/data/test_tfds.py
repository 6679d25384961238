"""Data sets that tensorflow-datasets itself writes, with no network."""

import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.core.utils import file_utils

from pocketzoo import training, zoo

NAMES = ("ant", "bee", "cow")


def rows(count, first=0):
    for row in range(first, first + count):
        yield str(row), {"image": np.full((5, 7, 3), row, "uint8"), "label": row % 3, "size": float(row)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    file_utils.add_data_dir(folder)
    yield folder
    file_utils.clear_registered_data_dirs()


def write(folder, name, features, splits, **options):
    tfds.dataset_builders.store_as_tfds_dataset(
        name,
        version="1.0.0",
        features=tfds.features.FeaturesDict(features),
        split_datasets=splits,
        data_dir=folder,
        **options,
    )


@pytest.fixture(scope="module")
def features():
    return {
        "image": tfds.features.Image(shape=(None, None, 3)),
        "label": tfds.features.ClassLabel(names=NAMES),
        "size": tfds.features.Scalar(np.float32),
    }


@pytest.fixture(scope="module")
def shades(folder, features):
    write(folder, "shades", features, {"train": rows(30), "test": rows(9, 100), "unlabelled": rows(3, 200)})
    return folder / "shades" / "1.0.0"


@pytest.mark.usefixtures("shades")
def test_classification_keeps_its_splits_and_the_names_of_its_classes():
    data = training.load_data("tfds:shades", image_size=4)
    assert (data.source, data.task, data.labels) == ("tfds:shades", "classification", NAMES)
    assert (len(data.train), len(data.validation), len(data.test)) == (27, 3, 9)
    for split in (data.train, data.validation, data.test):
        images, labels = split.arrays()
        np.testing.assert_array_equal(images[:, 0, 0, 0] % 3, labels)
    assert set(data.test.arrays()[0].ravel()) == set(range(100, 109))


def test_file_that_was_cut_short_is_named(shades):
    file = next(shades.glob("shades-train*"))
    whole = file.read_bytes()
    file.write_bytes(whole[:-20])
    try:
        with pytest.raises(zoo.InputError, match=r"1 of 39 images .*shades-train\S* is damaged, cut short"):
            training.load_data("tfds:shades")
    finally:
        file.write_bytes(whole)


def test_data_sets_that_cannot_be_used_say_why(folder, features):
    with pytest.raises(zoo.InputError, match=r"tfds:shadows: tensorflow-datasets cannot load it: .*shadows not found"):
        training.load_data("tfds:shadows")
    sizes = ((key, {"size": row["size"]}) for key, row in rows(4))
    write(folder, "sizes", {"size": features["size"]}, {"train": sizes})
    with pytest.raises(zoo.InputError, match="tfds:sizes is not an image classification; it has size"):
        training.load_data("tfds:sizes")
    write(folder, "parts", features, {"part": rows(4)})
    with pytest.raises(zoo.InputError, match="tfds:parts has no split train; it has part"):
        training.load_data("tfds:parts")


def test_without_tensorflow_datasets_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(zoo.InputError, match=r"requires tensorflow-datasets: pip install 'pocketzoo\[tfds\]'"):
        training.load_data("tfds:mnist")
