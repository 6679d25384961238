"""Data with several inputs: every selection keeps them together, and what does not fit the model is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers
from support.several_inputs import COUNT, SHORT, TASKS, pair_net, pair_rows, photo_net, photo_rows

from pocketzoo import training, zoo
from pocketzoo.training.data.accepted_data import as_split
from pocketzoo.training.data.folds import folds_of
from pocketzoo.training.data.pipeline import evaluation_batches, training_batches


@pytest.fixture(scope="module")
def photos():
    return photo_rows()


@pytest.fixture(scope="module")
def pairs():
    return pair_rows()


@pytest.fixture(scope="module")
def photo_data(photos):
    return training.from_arrays(*photos, labels=list("abcd"))


@pytest.fixture(scope="module")
def pair_data(pairs):
    return training.from_arrays(*pairs, task=TASKS, labels={"place": list("abcd"), "amount": ["amount"]})


@settings(max_examples=6, deadline=None)
@given(rows=st.integers(12, 40), vector=st.sampled_from([(), (1,), (3,)]), seed=st.integers(0, 100))
def test_inputs_stay_with_their_image_in_every_selection(rows, vector, seed):
    """Every input and target of a row holds its number."""
    numbers = np.arange(rows)

    def filled(shape, dtype):
        return np.broadcast_to(numbers.reshape(-1, *[1] * len(shape)), (rows, *shape)).astype(dtype)

    inputs = {"index": filled((), "int64"), "image": filled((4, 4, 1), "uint8"), "values": filled(vector, "float64")}
    inputs["depth"] = filled((4, 4, 1), "float32")
    data = training.from_arrays(
        inputs, filled((), "float32"), task="regression", labels=["n"], seed=seed, pixel_range={"depth": (0, 255)}
    )
    recipe = training.Recipe(epochs=1, batch_size=5, augmentation="none", seed=seed)
    fold = folds_of(data, 2, seed=seed)[1]
    splits = (data.validation, data.test, data.train.drawn(5, seed), fold.train, fold.validation)
    streams = [*(evaluation_batches(split, 5) for split in splits), training_batches(data.train, recipe)]
    for batch, targets in (batch for stream in streams for batch in stream):
        assert batch.keys() == inputs.keys()
        for name, values in batch.items():
            expected = np.broadcast_to(targets.numpy().reshape(-1, *[1] * (values.ndim - 1)), values.shape)
            np.testing.assert_array_equal(values, expected, err_msg=name)
    assert batch["index"].dtype == tf.int64
    assert batch["values"].dtype == tf.float32


class Batches(keras.utils.PyDataset):
    """Batches of images and numbers in the order of the model."""

    def __init__(self, inputs, targets):
        super().__init__()
        self.columns = inputs["photo"], inputs["about"], targets

    def __len__(self):
        return COUNT // 40

    def __getitem__(self, index):
        photo, about, targets = (column[40 * index : 40 * index + 40] for column in self.columns)
        return (photo, about), targets


def test_data_of_tensorflow_and_keras_has_its_inputs_by_name_or_in_order(photos):
    inputs, classes = photos
    model, ordered = photo_net(), (inputs["photo"], inputs["about"])
    sources = {
        "dict": tf.data.Dataset.from_tensor_slices((inputs, classes)).batch(48),
        "tuple": tf.data.Dataset.from_tensor_slices((ordered, classes)).batch(48),
        "single images": tf.data.Dataset.from_tensor_slices((inputs, classes)),
        "PyDataset": Batches(inputs, classes),
        "arrays by name": (inputs, classes),
        "arrays in order": (list(ordered), classes),
    }
    for kind, source in sources.items():
        split = as_split(source, model, task="classification")
        read, targets = split.arrays()
        np.testing.assert_array_equal(read["photo"], inputs["photo"], err_msg=kind)
        np.testing.assert_array_equal(read["about"], inputs["about"].astype("float32"), err_msg=kind)
        np.testing.assert_array_equal(targets, classes, err_msg=kind)
        assert read["photo"].dtype == np.uint8


def _without(inputs, name):
    return {own: rows for own, rows in inputs.items() if own != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda inputs: inputs["photo"], "takes the inputs photo, about, but the data has images alone; give a dict"),
        (lambda inputs: _without(inputs, "about"), "the data has images alone"),
        (lambda inputs: inputs | {"age": inputs["about"]}, "but the data has the inputs photo, about, age"),
        (lambda inputs: _without(inputs, "about") | {"place": inputs["about"]}, "has the inputs photo, place"),
        (
            lambda inputs: inputs | {"about": inputs["about"][:, :1]},
            r"'about' .* shape \(2,\), but the data has \(1,\)",
        ),
        (lambda inputs: inputs | {"photo": inputs["photo"][:, 1:]}, r"'photo' .* shape \(16, 16, 3\), but .* \(15, 16"),
        (lambda inputs: inputs | {"about": inputs["about"][1:]}, r"160 images, but the input 'about' .* \(159, 2\)"),
        (lambda inputs: inputs | {"about": inputs["about"].astype(str)}, "'about' is <U32; it takes numbers"),
        (lambda inputs: inputs | {"about": np.full((COUNT, 2), np.nan)}, "rows of 'about' have a value that is no fin"),
        (lambda inputs: _without(inputs, "photo") | {"age": inputs["about"]}, "one of them must be images"),
        (lambda inputs: (inputs["photo"],), "data has 1 inputs, but photo_net takes photo, about"),
    ],
)
@pytest.mark.parametrize("verb", [training.fit, training.evaluate])
def test_data_with_other_inputs_than_the_model_is_refused(photos, change, message, verb):
    inputs = {"photo": photos[0]["photo"], "about": photos[0]["about"]}
    with pytest.raises(zoo.InputError, match=message):
        verb(photo_net(), (change(inputs), photos[1]), task="classification", labels=list("abcd"), from_logits=True)


def test_data_with_several_inputs_is_refused_by_a_model_with_one(photo_data):
    image = keras.Input((16, 16, 3))
    model = keras.Model(image, layers.Dense(4)(layers.Flatten()(image)), name="one")
    with pytest.raises(zoo.InputError, match="one takes images alone, but the data has the inputs photo, about"):
        training.fit(model, photo_data, SHORT, from_logits=True)


@pytest.mark.parametrize(
    ("kind", "dtype", "message"),
    [
        (np.linspace(0, 1, COUNT), "int32", "'kind' of net takes int32, but the data has float32; convert it"),
        (np.full(COUNT, 2**40), "int32", "'kind' of net takes int32, but the data has values up to 1099511627776"),
        (np.arange(COUNT) % 3, "bool", "'kind' of net takes bool, but the data has int64"),
        (np.arange(COUNT) % 7, "int32", "'kind' of net takes indices 0 to 2 of table, but the data has 0 to 6"),
        ((np.arange(COUNT) % 3)[:, None], "int32", None),
    ],
)
def test_indices_are_whole_numbers_that_the_model_can_hold(photos, kind, dtype, message):
    image, index = keras.Input((16, 16, 3), name="image"), keras.Input((), dtype=dtype, name="kind")
    features = [layers.Flatten()(image), layers.Embedding(3, 2, name="table")(index)]
    model = keras.Model([image, index], layers.Dense(4)(layers.Concatenate()(features)), name="net")
    data = training.from_arrays({"image": photos[0]["photo"], "kind": kind}, photos[1])
    if message is None:
        assert training.evaluate(model, data, from_logits=True).images == len(data.test)
        small = training.prune_channels(model, budget="params:1", round_to=1)
        assert small.history[0].difference < 1e-5
        return
    with pytest.raises(zoo.InputError, match=message):
        training.evaluate(model, data, from_logits=True)


def test_augmentation_of_one_of_two_images_is_refused(pair_data, photo_data):
    with pytest.raises(
        zoo.InputError, match=r"translate, rotate, zoom would change the image 'before' but not .* 'after'"
    ):
        training.fit(pair_net(), pair_data, SHORT.changed(augmentation="light"), pixels="0..1", verbose=False)
    with pytest.raises(zoo.InputError, match="'mixup' mixes images and targets, but not the input 'about'"):
        training.fit(photo_net(), photo_data, SHORT.changed(augmentation=[{"name": "mixup"}]), verbose=False)
    with pytest.raises(
        zoo.InputError, match="test_time_augmentation moves the image 'before' but not the input 'after'"
    ):
        training.evaluate(pair_net(), pair_data, test_time_augmentation="flip", pixels="0..1", task=TASKS)


def test_numbers_beside_an_augmented_image_stay_as_they_are(photo_data):
    recipe = SHORT.changed(augmentation="standard")
    augmented, plain = (
        next(iter(training_batches(photo_data.train, SHORT.changed(augmentation=name))))[0]
        for name in (recipe.augmentation, "none")
    )
    np.testing.assert_array_equal(augmented["about"], plain["about"])
    assert np.abs(augmented["photo"] - plain["photo"]).max() > 10


def test_rows_that_differ_in_a_further_input_are_no_copies(photos):
    inputs, classes = photos
    same = np.zeros_like(inputs["photo"])
    data = training.from_arrays({"photo": same, "about": inputs["about"]}, classes)
    assert len(data.train) + len(data.validation) + len(data.test) == COUNT
    about = inputs["about"].copy()
    about[1] = about[0]
    with pytest.raises(zoo.InputError, match="have a copy in another class"):
        training.from_arrays({"photo": same, "about": about}, classes)


def test_inputs_and_ranges_of_splits_must_agree(pairs):
    inputs, targets = pairs
    part = ({name: rows[:20] for name, rows in inputs.items()}, targets["amount"][:20])
    other = {"before": part[0]["before"], "later": part[0]["after"]}
    with pytest.raises(zoo.InputError, match="the inputs of one split are before, after, of another before, later"):
        training.from_arrays(inputs, targets["amount"], task="regression", validation=(other, part[1]))
    with pytest.raises(zoo.InputError, match="pixel_range has 'depth'; the inputs are before, after"):
        training.from_arrays(inputs, targets["amount"], task="regression", pixel_range={"depth": (0, 1)})


def test_ranges_of_two_images_are_their_own(pairs):
    """A map of heights beside an image, which no layer scales."""
    heights = pairs[0]["after"].astype("float32") * 10 - 50
    inputs = {"photo": pairs[0]["before"], "height": heights}
    data = training.from_arrays(
        inputs, pairs[1]["amount"], task="regression", labels=["n"], pixel_range={"height": (-50, 2500)}
    )
    keras.utils.set_random_seed(0)
    tensors = [keras.Input((16, 16, 3), name="photo"), keras.Input((16, 16, 3), name="height")]
    features = [layers.Rescaling(1 / 255)(tensors[0]), tensors[1]]
    pooled = layers.GlobalAveragePooling2D()(layers.Concatenate()(features))
    model = keras.Model(tensors, layers.Dense(1)(pooled), name="heights")
    arrays, targets = data.test.arrays()
    loss = training.evaluate(model, data).loss
    model.compile(loss="mse")
    assert loss == pytest.approx(model.evaluate([arrays["photo"], arrays["height"]], targets, verbose=0), rel=1e-3)
