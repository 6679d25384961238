"""Models of users, without heads of the zoo, through the functions that train and evaluate."""

from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from pocketzoo import export, training, zoo
from pocketzoo.zoo.contract import state_contract

RECIPE = training.Recipe(epochs=8, batch_size=16, augmentation="none", optimizer={"lr": 3e-3})


@pytest.fixture(scope="module")
def quadrants():
    """Images and the index of the bright quadrant."""
    random, classes = np.random.default_rng(0), np.arange(160) % 4
    images = random.integers(0, 60, (160, 16, 16, 3)).astype("uint8")
    for image, (row, column) in zip(images, (divmod(q, 2) for q in classes), strict=True):
        image[row * 8 : row * 8 + 8, column * 8 : column * 8 + 8] += 150
    return images, classes.astype("int32")


@pytest.fixture(scope="module")
def data(quadrants):
    return training.from_arrays(*quadrants, labels=list("abcd"))


def net(last, *, scaled=True, name="net"):
    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 3))
    x = layers.Rescaling(1 / 127.5, -1)(image) if scaled else image
    features = layers.Conv2D(8, 3, activation="relu")(layers.Conv2D(8, 3, strides=2, activation="relu")(x))
    features = layers.Flatten()(features)
    return keras.Model(image, last(features), name=name)


def test_logits_are_trained_evaluated_and_exported(data, tmp_path, capsys):
    model = net(layers.Dense(4))
    training.fit(model, data, RECIPE)
    assert "Inferred for net: the output is logits of a classification" in capsys.readouterr().err
    images, classes = data.test.arrays()
    assert (model.predict(images, verbose=0).argmax(-1) == classes).all()
    evaluation = training.evaluate(model, data)
    assert evaluation.accuracy == 1.0
    assert evaluation.loss < 0.5
    manifest = export.export_model(model, tmp_path / "out", targets=["mobile-gpu"], evaluation=data.test)
    assert (manifest.model.from_logits, manifest.model.labels) == (True, tuple("abcd"))
    (file,) = (tmp_path / "out").glob("*.tflite")
    assert training.evaluate(export.load_artifact(file), data).accuracy == 1.0


def test_loss_on_logits_is_that_of_keras(data):
    model = net(layers.Dense(4))
    loss = training.evaluate(model, data, from_logits=True).loss
    images, classes = data.test.arrays()
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    assert loss == pytest.approx(model.evaluate(images, classes, verbose=0), rel=1e-5)


@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_one_unit_stands_for_two_classes(quadrants, activation):
    images, classes = quadrants
    data = training.from_arrays(images, classes // 2, labels=["top", "bottom"])
    model = net(layers.Dense(1, activation))
    training.fit(model, data, RECIPE, verbose=False)
    evaluation = training.evaluate(model, data)
    assert evaluation.accuracy == 1.0
    assert set(evaluation.per_class) == {"top", "bottom"}


def test_images_are_scaled_to_the_stated_range(data):
    model = net(layers.Dense(4, "softmax"), scaled=False)
    training.fit(model, data, RECIPE, pixels=(-1, 1), verbose=False)
    images, classes = data.test.arrays()
    assert (model.predict(images / np.float32(127.5) - 1, verbose=0).argmax(-1) == classes).all()
    assert training.evaluate(model, data).accuracy == 1.0  # the statement holds for the object
    assert export.predict(model, images).probabilities.argmax(-1).tolist() == classes.tolist()


def test_one_hot_labels_are_classes(quadrants):
    images, classes = quadrants
    data = training.from_arrays(images, np.eye(4)[classes], labels=list("abcd"))
    assert np.array_equal(np.sort(data.train.labels), np.sort(data.train.labels.astype("int32")))
    assert data.task == "classification"
    assert len(set(data.train.labels.tolist())) == 4


@pytest.mark.parametrize("verb", [training.prune, training.cluster, training.quantize_aware])
def test_compression_keeps_a_model_of_logits_right(data, verb):
    model = net(layers.Dense(4))
    training.fit(model, data, RECIPE, verbose=False)
    result = verb(model, data, RECIPE.changed(epochs=2), verbose=False)
    assert training.evaluate(result.model, data).accuracy == 1.0
    assert result.model.predict(data.test.arrays()[0], verbose=0).min() < 0  # still logits


def test_student_and_teacher_of_logits_are_distilled(data):
    teacher, student = net(layers.Dense(4), name="teacher"), net(layers.Dense(4), name="student")
    training.fit(teacher, data, RECIPE, verbose=False)
    training.distill(student, teacher, data, RECIPE, verbose=False)
    assert training.evaluate(student, data).accuracy == 1.0


def test_output_that_is_neither_probabilities_nor_logits_is_refused(data):
    with pytest.raises(zoo.InputError, match=r"ends in the activation relu, .* state from_logits"):
        training.fit(net(layers.Dense(4, "relu")), data, RECIPE, verbose=False)
    with pytest.raises(zoo.InputError, match="change the activation, or state another task"):
        training.fit(net(layers.Dense(4, "sigmoid")), data, RECIPE, verbose=False)


def test_outputs_in_a_list_are_trained_by_name(quadrants):
    images, classes = quadrants
    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 3))
    features = layers.Flatten()(layers.Rescaling(1 / 255)(image))
    outputs = [layers.Dense(4, name="quadrant")(features), layers.Dense(1, name="row")(features)]
    model = keras.Model(image, outputs)
    data = training.from_arrays(
        images,
        {"quadrant": classes, "row": (classes // 2).astype("float32")},
        task={"quadrant": "classification", "row": "regression"},
        labels={"quadrant": list("abcd"), "row": ["row"]},
    )
    training.fit(model, data, RECIPE, verbose=False)
    evaluation = training.evaluate(model, data)
    assert evaluation["quadrant"].accuracy == 1.0
    assert evaluation["row"].mae < 0.3


def test_integers_cover_the_stated_range(data):
    model = net(layers.Dense(4, "softmax"), scaled=False)
    training.fit(model, data, RECIPE, pixels=(-1, 1), verbose=False)
    quantized = training.quantize_aware(model, data, RECIPE.changed(epochs=2), verbose=False).model
    assert training.evaluate(quantized, data).accuracy == 1.0
    first = next(layer for layer in quantized.layers if type(layer).__name__ == "FakeQuantize")
    ranges = [float(keras.ops.convert_to_numpy(weight).min()) for weight in first.weights if weight.shape == ()]
    assert min(ranges) == pytest.approx(-1, abs=0.02)


def normalized_net():
    """A net of pixels from -1 to 1, whose BatchNorms notice another range."""
    keras.utils.set_random_seed(0)
    x = image = keras.Input((16, 16, 3))
    for filters in (16, 16):
        x = layers.Conv2D(filters, 3, strides=2)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.8)(x))
    return keras.Model(image, layers.Dense(4)(layers.Flatten()(x)), name="normalized")


@pytest.mark.parametrize(
    "criterion", ["taylor", *(pytest.param(name, marks=pytest.mark.every_card) for name in ("l1", "activation"))]
)
def test_channels_are_chosen_and_recalibrated_on_the_stated_range(data, criterion):
    model = normalized_net()
    training.fit(model, data, RECIPE, pixels="-1..1", from_logits=True, verbose=False)
    small = training.prune_channels(
        model, data, budget="macs:0.6", criterion=criterion, round_to=1, recipe=RECIPE.changed(epochs=1)
    ).model
    mean = next(layer for layer in small.layers if isinstance(layer, layers.BatchNormalization)).moving_mean
    assert np.abs(mean).max() < 3  # with raw pixels it would be about 100
    assert training.evaluate(small, data).accuracy > 0.9
    assert export.predict(small, data.test.arrays()[0]).probabilities.min() >= 0


def test_new_head_keeps_the_range_and_is_fine_tuned(data):
    model = normalized_net()
    training.fit(model, data, RECIPE, pixels="-1..1", from_logits=True, verbose=False)
    tuned = zoo.replace_head(model, "classification", labels=list("abcd"))
    recipe = training.FineTuneRecipe(epochs=2, head_epochs=8, batch_size=16, augmentation="none", head_lr=1e-2)
    training.fine_tune(tuned, data, recipe, verbose=False)
    assert training.evaluate(tuned, data).accuracy == 1.0


class Apply(layers.Layer):
    """A layer that its user forgot to describe."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, inputs):
        return self.function(inputs)


def test_layer_without_a_config_is_named_before_training(data):
    model = net(lambda features: layers.Dense(4, "softmax")(Apply(lambda x: 2 * x)(features)))
    with pytest.raises(zoo.InputError, match=r"layer apply \(Apply\) has arguments, but no get_config"):
        training.fit(model, data, RECIPE, verbose=False)


@pytest.mark.parametrize("verb", [training.fit, training.evaluate])
def test_name_that_tensorflow_refuses_is_explained(data, verb):
    model = net(layers.Dense(4, "softmax"), name="my net")
    with pytest.raises(zoo.InputError, match="the model is called 'my net', which TensorFlow cannot run; set model"):
        verb(model, data)
    model.name = "my_net"
    assert training.evaluate(model, data).images == len(data.test)


SPARSITY = training.CompressionSpec(sparsity={})


@pytest.mark.parametrize("method", ["train_step", "compute_loss"])
def test_own_training_step_is_reported_by_every_verb_that_trains(method, data, capsys, tmp_path):
    def own_method(self, *arguments, **options):
        raise NotImplementedError

    own_class = type("Own", (keras.Model,), {method: own_method})
    plain = net(layers.Dense(4, "softmax"))
    model = own_class(plain.input, plain.output, name="own")
    other = training.from_arrays(
        np.zeros((40, 8, 8, 1), "uint8") + np.arange(40, dtype="uint8")[:, None, None, None], np.arange(40) % 4
    )
    verbs = {
        "fit": lambda: training.fit(model, other),
        "fine_tune": lambda: training.fine_tune(model, other),
        "find_learning_rate": lambda: training.find_learning_rate(model, other),
        "cross_validate": lambda: training.cross_validate(lambda: model, other),
        "prune": lambda: training.prune(model, other),
        "cluster": lambda: training.cluster(model, other),
        "prune_channels": lambda: training.prune_channels(model, other, budget="macs:0.5"),
        "shrink_channels": lambda: training.shrink_channels(model, other),
        "quantize_aware": lambda: training.quantize_aware(model, other),
        "distill": lambda: training.distill(model, plain, other),
        "compress": lambda: training.compress(model, other, SPARSITY, run_dir=tmp_path / "run"),
    }
    for name, verb in verbs.items():
        with pytest.raises(zoo.InputError):
            verb()
        printed = capsys.readouterr().err
        assert f"own has its own {method}, which is not used here: its layers are trained by the recipe." in printed, (
            name
        )
    training.fit(model, data, RECIPE.changed(epochs=1), verbose=False)


def test_names_of_the_classes_in_another_order_are_refused(quadrants, data):
    images, classes = quadrants
    reversed_data = training.from_arrays(images, 3 - classes, labels=list("dcba"))
    model, student = net(layers.Dense(4, "softmax")), net(layers.Dense(4, "softmax"), name="student")
    training.evaluate(model, data)
    for verb in (training.evaluate, training.fit, partial(training.distill, student)):
        with pytest.raises(zoo.InputError, match="has them in the order d, c, b, a"):
            verb(model, reversed_data)
    with pytest.raises(zoo.InputError, match="has them in the order a, b, c, d"):
        training.fit(student, data, RECIPE, labels=list("abdc"), verbose=False)
    assert training.evaluate(model, reversed_data, labels=list("dcba")).images == len(reversed_data.test)
    assert training.evaluate(model, quadrants).images == 160  # without names


def test_other_names_than_those_of_a_loader_of_keras_are_refused(data, quadrants):
    model = net(layers.Dense(4, "softmax"))
    training.evaluate(model, data)
    batches = tf.data.Dataset.from_tensor_slices(quadrants).batch(40)
    batches.class_names = list("badc")
    with pytest.raises(zoo.InputError, match="but the data has them in the order b, a, d, c"):
        training.evaluate(model, batches)


def test_float_images_have_the_range_of_the_model(quadrants):
    images, classes = quadrants
    bright = images / np.float32(255)  # all of it above 0, though the range is -1..1
    stated, used = net(layers.Dense(4, "softmax"), scaled=False), net(layers.Dense(4, "softmax"), scaled=False)
    state_contract(used, likely_range=(-1.0, 1.0), report=False)
    assert training.as_data((bright, classes), stated, pixels="-1..1").pixel_range == (-1, 1)
    assert training.as_data((bright, classes), used).pixel_range == (-1, 1)
    assert state_contract(used, likely_range=(0.0, 1.0)).pixels == (-1, 1)
    with pytest.warns(UserWarning, match=r"float32 of the range 0\.\.1, inferred"):
        assert training.as_data((bright, classes), stated, pixels="0..255").pixel_range == (0, 1)
    normalized = (bright - 0.45) / 0.22
    assert training.as_data((normalized, classes), stated, pixels=(-3, 3)).pixel_range == (-3, 3)
    used.compile(loss="sparse_categorical_crossentropy")
    expected = used.evaluate(bright, classes, verbose=0)
    assert training.evaluate(used, (bright, classes)).loss == pytest.approx(expected, rel=1e-4)


def test_verbs_without_a_statement_infer_it_from_the_data(data, capsys):
    model = net(layers.Dense(4))
    training.sensitivity(model, data, levels=(0.5,), images=16)
    assert "the output is logits of a classification" in capsys.readouterr().err
