"""Models with several inputs through the functions that train, compress and evaluate, and their exports."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from pocketzoo import export, training, zoo
from pocketzoo.training.data.accepted_data import as_split
from pocketzoo.training.data.folds import folds_of
from pocketzoo.training.data.pipeline import evaluation_batches, training_batches

COUNT = 160
RECIPE = training.Recipe(epochs=10, batch_size=16, augmentation="none", optimizer={"lr": 1e-2})
SHORT = RECIPE.changed(epochs=1, optimizer={"lr": 1e-3})
TASKS = {"place": "classification", "amount": "regression"}


def photo_net(name="photo_net"):
    """A photo and two numbers, in a list; the class depends on both."""
    keras.utils.set_random_seed(0)
    photo, about = keras.Input((16, 16, 3), name="photo"), keras.Input((2,), name="about")
    x = layers.Conv2D(8, 3, strides=2, activation="relu")(layers.Rescaling(1 / 255)(photo))
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.8)(layers.Conv2D(8, 3, strides=2)(x)))
    x = layers.Concatenate()([layers.Flatten()(x), layers.Dense(8, "relu")(about)])
    return keras.Model([photo, about], layers.Dense(4, name="classes")(x), name=name)


def pair_net():
    """Two photos in a dict, not in the order of the alphabet, in the range 0..1; two outputs in a list."""
    keras.utils.set_random_seed(0)
    pair = {name: keras.Input((16, 16, 3), name=name) for name in ("before", "after")}
    first, second = (layers.Conv2D(8, 3, strides=2, activation="relu") for _ in range(2))
    difference = layers.Subtract()([second(first(pair["after"])), second(first(pair["before"]))])
    features = layers.Flatten(name="features")(difference)
    outputs = [layers.Dense(4, name="place")(features), layers.Dense(1, name="amount")(features)]
    return keras.Model(pair, outputs, name="pair_net")


@pytest.fixture(scope="module")
def photos():
    """Inputs by name, and classes: which half is bright, and the sign of the first number."""
    random, classes = np.random.default_rng(0), np.arange(COUNT) % 4
    images = random.integers(0, 60, (COUNT, 16, 16, 3)).astype("uint8")
    for image, half in zip(images, classes // 2, strict=True):
        image[half * 8 : half * 8 + 8] += 150
    about = np.stack([np.where(classes % 2, 1.0, -1.0), random.normal(size=COUNT)], axis=1)
    return {"about": about, "photo": images}, classes


@pytest.fixture(scope="module")
def pairs():
    """Pairs of images, and the quadrant that becomes brighter in the second."""
    random, classes = np.random.default_rng(0), np.arange(COUNT) % 4
    before = random.integers(0, 100, (COUNT, 16, 16, 3)).astype("uint8")
    after = before.copy()
    for image, (row, column) in zip(after, (divmod(q, 2) for q in classes), strict=True):
        image[row * 8 : row * 8 + 8, column * 8 : column * 8 + 8] += 150
    return {"before": before, "after": after}, {"place": classes, "amount": (classes / 4).astype("float32")}


@pytest.fixture(scope="module")
def photo_data(photos):
    return training.from_arrays(*photos, labels=list("abcd"))


@pytest.fixture(scope="module")
def pair_data(pairs):
    return training.from_arrays(*pairs, task=TASKS, labels={"place": list("abcd"), "amount": ["amount"]})


@pytest.fixture(scope="module")
def trained(photo_data):
    model = photo_net()
    training.fit(model, photo_data, RECIPE, verbose=False)
    return model


@pytest.fixture(scope="module")
def trained_pair(pair_data):
    model = pair_net()
    training.fit(model, pair_data, RECIPE, pixels="0..1", verbose=False)
    return model


def copy_of(model):
    copy = photo_net()
    copy.set_weights(model.get_weights())
    return copy


def test_both_inputs_are_learned_and_the_loss_is_that_of_keras(trained, photo_data):
    evaluation = training.evaluate(trained, photo_data)
    assert evaluation.accuracy > 0.9  # 0.5 without one of the inputs
    inputs, classes = photo_data.test.arrays()
    plain = copy_of(trained)
    plain.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    expected = plain.evaluate([inputs["photo"], inputs["about"]], classes, verbose=0)
    assert [evaluation.loss, evaluation.accuracy] == pytest.approx(expected, rel=1e-4)


def test_two_images_with_two_outputs_are_learned_in_the_range_of_the_model(trained_pair, pair_data):
    evaluation = training.evaluate(trained_pair, pair_data)
    inputs, targets = pair_data.test.arrays()
    places, amounts = trained_pair.predict({name: rows / 255.0 for name, rows in inputs.items()}, verbose=0)
    assert evaluation["place"].accuracy == (places.argmax(-1) == targets["place"]).mean() > 0.9
    assert evaluation["amount"].mae == pytest.approx(
        np.abs(amounts - targets["amount"].reshape(-1, 1)).mean(), rel=1e-3
    )


RARE = [pytest.param(verb, marks=pytest.mark.every_card) for verb in ("cluster", "quantize_aware", "shrink_channels")]


@pytest.mark.parametrize("verb", ["prune", *RARE])
def test_compressed_model_takes_both_inputs(trained, photo_data, verb):
    model = copy_of(trained)
    result = getattr(training, verb)(model, photo_data, SHORT, verbose=False)
    assert training.evaluate(result.model, photo_data).accuracy > 0.9
    assert [tensor.name for tensor in result.model.inputs] == ["photo", "about"]


@pytest.mark.parametrize("criterion", ["taylor", pytest.param("activation", marks=pytest.mark.every_card)])
def test_channels_are_removed_by_their_effect_on_the_data(trained, photo_data, criterion):
    small = training.prune_channels(
        trained, photo_data, budget="params:0.7", criterion=criterion, round_to=1, recipe=SHORT, verbose=False
    )
    assert small.after.parameters <= 0.7 * small.before.parameters
    assert training.evaluate(small.model, photo_data).accuracy > 0.9


def test_two_images_are_quantized_and_exported_without_calibration(trained_pair, pair_data, tmp_path):
    quantized = training.quantize_aware(trained_pair, pair_data, SHORT, verbose=False).model
    assert list(quantized.input) == ["before", "after"]
    own = training.evaluate(quantized, pair_data)
    assert own["place"].accuracy > 0.9
    loose = {"accuracy_drop": 0.1, "agreement": 0.9, "mae_rise": 0.1}
    export.export_model(
        quantized, tmp_path / "out", targets=["mobile-cpu"], evaluation=pair_data.test, thresholds=loose
    )
    artifact = export.load_artifact(tmp_path / "out" / "pair_net-uint8.tflite")
    assert list(artifact.input) == ["before", "after"]
    found = training.evaluate(artifact, pair_data)
    for name in TASKS:
        assert found[name].loss == pytest.approx(own[name].loss, rel=0.05, abs=1e-3)


def test_student_learns_from_a_teacher_with_the_same_inputs(trained, photo_data):
    student = photo_net("student")
    training.distill(student, trained, photo_data, RECIPE, verbose=False)
    assert training.evaluate(student, photo_data).accuracy > 0.9


@pytest.mark.parametrize("mode", ["feature_extraction", pytest.param("fine_tune", marks=pytest.mark.every_card)])
def test_new_head_is_trained_on_features_of_all_inputs(trained, photo_data, mode):
    model = zoo.replace_head(trained, "classification", labels=list("abcd"))
    recipe = training.FineTuneRecipe(
        mode=mode, epochs=1, head_epochs=8, batch_size=16, augmentation="none", head_lr=1e-2
    )
    training.fine_tune(model, photo_data, recipe, verbose=False)
    assert training.evaluate(model, photo_data).accuracy > 0.9
    again = zoo.replace_head(model, "classification", labels=list("abcde"))
    assert [tensor.name for tensor in again.inputs] == ["photo", "about"]


@pytest.mark.every_card
def test_all_that_looks_at_a_run_takes_several_inputs(photo_data, pair_data, tmp_path):
    recipe = SHORT.changed(monitor=True, precision="auto", folds=2)
    result = training.cross_validate(photo_net, photo_data, recipe, verbose=False)
    assert len(result.folds) == 2
    model = photo_net()
    metrics = training.fit(model, photo_data, recipe.changed(folds=None), verbose=False).metrics
    assert metrics["gradient_norm"] > 0
    assert training.find_learning_rate(model, photo_data, SHORT).suggestion > 0
    assert training.sensitivity(model, photo_data, levels=[0.5]).dense["loss"] > 0
    pair = pair_net()
    training.fit(pair, pair_data, recipe.changed(folds=None), pixels="0..1", verbose=False)
    training.write_report(pair, pair_data, tmp_path)
    assert (tmp_path / "place" / "worst.png").exists()


def test_split_calibrates_and_evaluates_an_export(trained, photo_data, tmp_path):
    manifest = export.export_model(
        trained,
        tmp_path / "out",
        targets=["mobile-cpu", "gpu"],
        calibration=photo_data.train,
        evaluation=photo_data.test,
        thresholds={"accuracy_drop": 0.1, "agreement": 0.8},
    )
    inputs, _ = photo_data.test.arrays()
    expected = export.predict(trained, inputs).probabilities
    for record in manifest.artifacts:
        artifact = export.load_artifact(tmp_path / "out" / record.file)
        assert list(artifact.input) == ["photo", "about"]
        np.testing.assert_allclose(export.predict(artifact, inputs).probabilities, expected, atol=0.2)
        assert training.evaluate(artifact, photo_data).accuracy > 0.9
    fp32 = export.load_artifact(next((tmp_path / "out").glob("*fp32.tflite")))
    ours = training.evaluate(trained, photo_data.test).to_dict()
    assert training.evaluate(fp32, photo_data.test).to_dict()["loss"] == pytest.approx(ours["loss"], rel=1e-4)
    with pytest.raises(zoo.InputError, match="takes the inputs photo, about; the data has images alone"):
        training.evaluate(fp32, training.ImageSplit(photo_data.test.images, photo_data.test.labels))


@pytest.mark.every_card
def test_artifact_with_several_inputs_and_outputs_is_evaluated(trained_pair, pair_data, tmp_path):
    export.export_model(trained_pair, tmp_path / "out", targets=["gpu"], evaluation=pair_data.test)
    artifact = export.load_artifact(tmp_path / "out" / "pair_net-fp32.onnx")
    found, wanted = training.evaluate(artifact, pair_data), training.evaluate(trained_pair, pair_data)
    for name in TASKS:
        assert found[name].loss == pytest.approx(wanted[name].loss, rel=1e-3)


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
