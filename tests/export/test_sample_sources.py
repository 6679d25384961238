"""What users may give as calibration and evaluation."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pocketzoo import zoo
from pocketzoo.export.sample_sources import in_memory

PIXELS = np.random.default_rng(0).integers(0, 256, (10, 4, 4, 3)).astype("float32")
CLASSES = np.arange(10) % 2


class Batches(keras.utils.PyDataset):
    """Two batches."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        rows = slice(5 * index, 5 * index + 5)
        return PIXELS[rows], CLASSES[rows]


@pytest.mark.parametrize("dataset", [tf.data.Dataset.from_tensor_slices((PIXELS, CLASSES)).batch(4), Batches()])
def test_datasets_are_read_as_images_and_labels(dataset):
    images, labels = in_memory(dataset, "evaluation")
    assert images.dtype == np.uint8  # raw pixels, which Keras' loaders return as floats
    np.testing.assert_array_equal(images, PIXELS)
    np.testing.assert_array_equal(labels, CLASSES)


def test_dataset_of_images_alone_keeps_fractions():
    np.testing.assert_array_equal(
        in_memory(tf.data.Dataset.from_tensor_slices(PIXELS / 255).batch(4), "calibration"), PIXELS / 255
    )


def test_endless_dataset_is_refused_and_arrays_stay_as_they_are():
    with pytest.raises(zoo.InputError, match=r"calibration is a tf\.data\.Dataset without an end"):
        in_memory(tf.data.Dataset.from_tensor_slices(PIXELS).repeat(), "calibration")
    pair = (PIXELS, CLASSES)
    assert in_memory(pair, "evaluation") is pair
