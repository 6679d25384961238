"""What a user may pass as data besides our own types."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from support.small_net import small_net

from pocketzoo import training, zoo

BRIEF = training.Recipe(epochs=1, batch_size=20, augmentation="none")


class Batches(keras.utils.PyDataset):
    """Batches of 16 images."""

    def __init__(self, images, targets, *others):
        super().__init__()
        self._columns = (images, targets, *others)

    def __len__(self):
        return -(-len(self._columns[0]) // 16)

    def __getitem__(self, index):
        return tuple(column[16 * index : 16 * (index + 1)] for column in self._columns)


class Endless(Batches):
    @property
    def num_batches(self):
        return None


@pytest.fixture(scope="module")
def arrays(small_digits):
    parts = [getattr(small_digits, name).arrays() for name in ("train", "validation")]
    return tuple(map(np.concatenate, zip(*parts, strict=True)))


FORMS = {
    "arrays": lambda images, labels: (images, labels),
    "list of floats": lambda images, labels: [images.astype("float32"), labels[:, None]],
    "one-hot": lambda images, labels: (images, np.eye(10)[labels]),
    "tf.data in batches": lambda *columns: tf.data.Dataset.from_tensor_slices(columns).batch(32),
    "tf.data of images": lambda *columns: tf.data.Dataset.from_tensor_slices(columns),
    "PyDataset": Batches,
    "dict": lambda images, labels: {"train": (images, labels)},
    "lists": lambda images, labels: (list(images), [float(label) for label in labels]),
    "input by name": lambda images, labels: tf.data.Dataset.from_tensor_slices(({"image": images}, labels)).batch(32),
    "gray without channels": lambda images, labels: tf.data.Dataset.from_tensor_slices((images[..., 0], labels)).batch(
        32
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_dataset_has_the_same_images_and_classes(arrays, form):
    data = training.as_data(FORMS[form](*arrays), small_net())
    expected = training.from_arrays(*arrays, labels=[str(digit) for digit in range(10)])
    assert data.labels == expected.labels
    for name in ("train", "validation", "test"):
        for given, wanted in zip(getattr(data, name).arrays(), getattr(expected, name).arrays(), strict=True):
            np.testing.assert_array_equal(given, wanted)


def test_verbs_take_data_of_tensorflow_and_keras(arrays):
    model = small_net()
    result = training.fit(model, FORMS["tf.data in batches"](*arrays), BRIEF, verbose=False)
    assert len(result.history) == 1
    evaluations = [training.evaluate(model, FORMS[form](*arrays)) for form in FORMS if form != "dict"]
    assert [evaluation.images for evaluation in evaluations] == [len(arrays[0])] * len(evaluations)
    assert len({evaluation.loss for evaluation in evaluations}) == 1
    assert training.evaluate(model, tuple(column[:7] for column in arrays)).images == 7


def test_parts_of_a_dataset_stay_apart(arrays):
    images, labels = arrays
    first, second = (images[:100], labels[:100]), (images[100:], labels[100:])
    data = training.as_data({"train": Batches(*first), "validation": second}, small_net())
    np.testing.assert_array_equal(data.validation.arrays()[0], second[0])
    assert len(data.train) + len(data.test) == 100


def test_folder_is_read_in_the_size_of_the_model(arrays, tmp_path):
    for row, (image, label) in enumerate(zip(*arrays, strict=True)):
        (tmp_path / str(label)).mkdir(exist_ok=True)
        Image.fromarray(np.repeat(image, 2, axis=0)[..., 0]).save(tmp_path / str(label) / f"{row}.png")
    data = training.as_data(tmp_path, small_net())
    assert data.image_shape == (16, 16, 1)
    assert training.evaluate(small_net(), str(tmp_path)).images == len(data.test)


def test_names_of_the_classes_are_those_of_the_folder(arrays, tmp_path):
    for row, (image, label) in enumerate(zip(*arrays, strict=True)):
        (tmp_path / f"digit {label}").mkdir(exist_ok=True)
        Image.fromarray(image[..., 0]).save(tmp_path / f"digit {label}" / f"{row}.png")
    dataset = keras.utils.image_dataset_from_directory(tmp_path, image_size=(16, 16), color_mode="grayscale", verbose=0)
    assert training.as_data(dataset).labels == tuple(f"digit {label}" for label in range(10))


def sizes_that_differ():
    signature = (tf.TensorSpec((None, 16, 1), tf.uint8), tf.TensorSpec((), tf.int64))
    return tf.data.Dataset.from_generator(
        lambda: zip((IMAGES[0], IMAGES[1, :8]), (0, 1), strict=True), output_signature=signature
    )


IMAGES, LABELS = np.zeros((8, 16, 16, 1), "uint8"), np.arange(8)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (IMAGES, r"data is an array of shape \(8, 16, 16, 1\) without targets; give \(images, targets\)"),
        (tf.data.Dataset.from_tensor_slices(IMAGES).batch(4), "images without targets"),
        (tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).repeat(), r"without an end; leave out repeat\(\)"),
        (Endless(IMAGES, LABELS), "PyDataset without an end"),
        (Batches(IMAGES, LABELS, LABELS), "sample weights"),
        (((IMAGES, LABELS), (IMAGES, LABELS)), "may be train and test or train and validation; give a dict by"),
        ({"trian": (IMAGES, LABELS)}, "data has the split 'trian'; allowed are train, validation, test"),
        ({"test": (IMAGES, LABELS)}, "data has no split 'train'"),
        (7, "data is 7; allowed are an ImageData, a path"),
        (Batches(IMAGES[:0], LABELS[:0]), "data has no batch"),
        ((IMAGES[:0], LABELS[:0]), "it takes arrays with a row for each image"),
        (([*IMAGES[:2], IMAGES[2, :8]], [0, 1, 2]), "differ in size or channels"),
        (sizes_that_differ(), "differ in size; resize them"),
    ],
)
def test_what_is_no_dataset_is_refused_in_a_sentence(data, message):
    for verb in (training.fit, training.prune, training.find_learning_rate):
        with pytest.raises(zoo.InputError, match=message):
            verb(small_net(), data)


def test_targets_of_no_task_need_one():
    with pytest.raises(zoo.InputError, match=r"are an array of shape \(8, 3, 3, 3, 3\), which shows no task; state it"):
        training.as_data((IMAGES, np.zeros((8, 3, 3, 3, 3))))
