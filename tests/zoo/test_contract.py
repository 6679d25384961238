"""What the inputs and outputs of a model mean, stated or inferred."""

import zipfile

import keras
import numpy as np
import pytest
from keras import layers, ops

from pocketzoo import zoo
from pocketzoo.core.errors import InputError
from pocketzoo.zoo.contract import contract_of, copy_contract, state_contract
from pocketzoo.zoo.decoded_form import decoded_form
from pocketzoo.zoo.functional_form import functional_form
from pocketzoo.zoo.model_arguments import accepts_any_model

SHAPE = (8, 8, 3)


def net(*last, scale=None):
    """A small model that ends in the given layers."""
    image = keras.Input(SHAPE)
    x = layers.Flatten()(scale(image) if scale else image)
    for layer in last:
        x = layer(x)
    return keras.Model(image, x, name="net")


def dense(units, activation=None):
    return layers.Dense(units, activation)


def inferred(model, **known):
    output = state_contract(model, **known).outputs
    return output.task_name, output.from_logits, output.size


@pytest.mark.parametrize(
    ("last", "known", "expected"),
    [
        ([dense(4, "softmax")], {}, ("classification", False, 4)),
        ([dense(4), layers.Softmax()], {}, ("classification", False, 4)),
        ([dense(4), layers.Activation("softmax")], {}, ("classification", False, 4)),
        ([dense(4), ops.softmax], {}, ("classification", False, 4)),
        ([dense(4, "softmax"), layers.Reshape((4,)), layers.Identity()], {}, ("classification", False, 4)),
        ([keras.Sequential([layers.Input((192,)), dense(4, "sigmoid")])], {}, ("multi_label", False, 4)),
        ([dense(4)], {}, ("regression", False, 4)),
        ([dense(4), layers.Rescaling(10.0)], {}, ("regression", False, 4)),
        ([dense(4)], {"known_tasks": "classification"}, ("classification", True, 4)),
        ([dense(4)], {"from_logits": True}, ("classification", True, 4)),
        ([dense(1)], {"from_logits": True}, ("multi_label", True, 1)),
        ([dense(4)], {"known_tasks": "multi_label"}, ("multi_label", True, 4)),
        ([dense(4)], {"likely_tasks": "classification"}, ("classification", True, 4)),
        ([dense(4, "softmax")], {"likely_tasks": "regression"}, ("classification", False, 4)),
        ([dense(1, "sigmoid")], {}, ("multi_label", False, 1)),
        ([dense(1, "sigmoid")], {"known_tasks": "classification"}, ("classification", False, 2)),
        ([dense(1)], {"known_tasks": "classification"}, ("classification", True, 2)),
        ([dense(4, "relu")], {"task": "classification", "from_logits": True}, ("classification", True, 4)),
        ([dense(12), layers.Reshape((3, 4))], {}, ("raw", False, 4)),
        ([dense(64, "sigmoid"), layers.Reshape((8, 8, 1))], {}, ("segmentation", False, 2)),
        ([dense(192, "sigmoid"), layers.Reshape(SHAPE)], {}, ("raw", False, 3)),
        ([dense(192, "softmax"), layers.Reshape(SHAPE)], {}, ("segmentation", False, 3)),
    ],
)
def test_output_of_a_users_model_is_inferred(last, known, expected):
    assert inferred(net(*last), **known) == expected


def compiled_net(loss):
    model = net(dense(4))
    model.compile("sgd", loss)
    return model


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (keras.losses.SparseCategoricalCrossentropy(from_logits=True), ("classification", True, 4)),
        (keras.losses.BinaryCrossentropy(from_logits=True), ("multi_label", True, 4)),
        ("mse", ("regression", False, 4)),
        (keras.losses.Huber(), ("regression", False, 4)),
    ],
)
def test_compiled_loss_tells_the_task_and_logits(loss, expected):
    assert inferred(compiled_net(loss)) == expected


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        (None, None),
        (layers.Rescaling(1 / 255), (0, 255)),
        (layers.Rescaling(1 / 127.5, -1), (0, 255)),
        (layers.Rescaling(1 / 65535), (0, 65535)),
        (layers.Rescaling(2 / 4095, -1), (0, 4095)),
        (layers.Rescaling(2.0, -1), (0, 1)),
        (layers.Normalization(mean=[124.0, 116.0, 104.0], variance=[58.0**2] * 3), (0, 255)),
        (layers.Normalization(mean=[0.485, 0.456, 0.406], variance=[0.05] * 3), (0, 1)),
        (lambda image: (image - 127.5) / 127.5, (0, 255)),
        (lambda image: image - np.array([124.0, 116.0, 104.0], "float32"), (0, 255)),
        (keras.Sequential([layers.RandomFlip(), layers.Rescaling(1 / 255)]), (0, 255)),
        (layers.ZeroPadding2D(1), None),
    ],
)
def test_first_layers_tell_the_pixel_range(scale, expected):
    contract = state_contract(net(dense(4, "softmax"), scale=scale))
    assert contract.pixels == (expected or (0, 255))
    assert contract.inferred == (() if expected else ("pixels",))


def test_flat_form_keeps_what_is_stated_and_the_range_of_the_normalization_layer():
    model = zoo.create_model("lenet5")
    model.get_layer("pixels").pixel_range = (0.0, 4095.0)
    assert contract_of(zoo.flatten_model(model)).pixels == (0, 4095)
    assert state_contract(zoo.flatten_model(model), known_tasks="classification").pixels == (0, 4095)
    outer = keras.Input((32, 32, 1))
    assert contract_of(keras.Model(outer, model(layers.RandomFlip()(outer)))).pixels == (0, 4095)
    users = net(dense(4))
    state_contract(users, task="classification", pixels="-1..1", from_logits=True, labels=list("abcd"))
    flat = state_contract(zoo.flatten_model(users))
    assert (flat.pixels, flat.outputs.from_logits, flat.outputs.names) == ((-1, 1), True, ("a", "b", "c", "d"))


def test_pixels_of_more_than_eight_bits_are_never_taken_for_raw_ones():
    model = net(dense(4, "softmax"), scale=layers.Normalization(mean=[1500.0] * 3, variance=[800.0**2] * 3))
    with pytest.raises(zoo.InputError, match=r"multiplies pixels by 0\.0012.*as in pixels=\(0, 4095\)"):
        state_contract(model)
    assert state_contract(model, likely_range=(0.0, 4095.0)).pixels == (0, 4095)


def test_logits_with_a_loss_of_probabilities_are_an_error_until_they_are_stated():
    model = net(dense(4))
    model.compile(loss="sparse_categorical_crossentropy")
    with pytest.raises(zoo.InputError, match="compiled with sparse_categorical_crossentropy of probabilities; state"):
        state_contract(model)
    assert inferred(model, from_logits=True) == ("classification", True, 4)


def test_model_of_the_zoo_states_everything():
    contract = contract_of(zoo.create_model("lenet5", labels=list("abcdefghij")))
    assert contract.is_stated
    assert (contract.outputs.labels, contract.pixels) == (tuple("abcdefghij"), (0, 255))


@pytest.mark.parametrize(
    ("model", "stated", "words"),
    [
        (net(dense(4, "softmax")), {"from_logits": True}, "from_logits is True for net, but it ends in a softmax"),
        (net(dense(4)), {"task": "regression", "from_logits": True}, "it is a regression, which has no logits"),
        (net(dense(4, "sigmoid")), {"task": "classification"}, "which has a softmax, but it ends in a sigmoid"),
        (net(dense(1, "softmax")), {"task": "classification"}, "a softmax over a single output, which is always 1"),
        (net(dense(4, "relu")), {"task": "classification"}, "ends in the activation relu, .* state from_logits"),
        (net(dense(4)), {"task": "classification", "from_logits": False}, "linear, whose outputs are no probabilities"),
        (compiled_net("sparse_categorical_crossentropy"), {}, "state from_logits, or"),
        (net(dense(12), layers.Reshape((3, 4))), {"task": "classification"}, r"\(None, 3, 4\), .* another task: 'raw'"),
        (net(dense(4)), {"task": "segmentation"}, r"\(None, 4\), but the output of a segmentation is \(batch, height"),
        (
            net(dense(192, "softmax"), layers.Reshape(SHAPE)),
            {"task": "classification"},
            "of a classification is .*: 'segmentation'",
        ),
        (net(dense(4)), {"task": "clasification"}, "did you mean classification"),
        (net(dense(4)), {"labels": ["a"]}, "net has 4 outputs, but there are 1 labels"),
        (net(dense(2)), {"labels": ["a", "\ud800"]}, "labels are texts in Unicode without NUL and surrogates"),
        (net(dense(2)), {"labels": ["a", "b\0"]}, "labels are texts in Unicode without NUL and surrogates"),
        (net(dense(2)), {"labels": ["", " "]}, "labels has nothing but empty names"),
        (net(dense(4)), {"pixels": "0-1"}, "pixels is '0-1'; it takes the range"),
        (net(dense(4)), {"pixels": (1, 0)}, r"pixels is \(1, 0\)"),
        (net(dense(4)), {"task": {"a": "regression"}}, "task is .*; the model takes one value"),
        (zoo.create_model("lenet5"), {"task": "regression"}, "comes from a head whose task is 'classification'"),
        (zoo.create_model("lenet5"), {"pixels": "0..1"}, "lenet5 normalizes pixels of 0..255 itself"),
    ],
)
def test_what_cannot_be_right_is_refused(model, stated, words):
    with pytest.raises(zoo.InputError, match=words):
        state_contract(model, **stated)


def test_subclassed_model_that_differs_in_training_is_raw_pixels_to_numbers():
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.flatten, self.noise, self.dense = layers.Flatten(), layers.GaussianNoise(0.1), dense(4)

        def call(self, images, training=None):
            return self.dense(self.flatten(self.noise(images) if training else images))

    model = Net()
    model(np.zeros((1, *SHAPE)))
    contract = state_contract(functional_form(model))
    assert (contract.tasks, contract.pixels) == ("regression", (0, 255))


def test_inference_is_reported_once_and_statements_are_remembered(capsys):
    model = net(dense(4))
    state_contract(model, known_tasks="classification")
    assert capsys.readouterr().err == (
        "Inferred for net: the output is logits of a classification; pixels go from 0 to 255, since no layer scales "
        "them. State from_logits (--from-probabilities) and pixels (--pixels 0..1) where that is wrong.\n"
    )
    state_contract(model)
    assert capsys.readouterr().err == ""
    state_contract(model, pixels="0..1", from_logits=True)
    assert capsys.readouterr().err == ""
    other = net(dense(4))
    copy_contract(model, other)
    assert contract_of(other).pixels == (0, 1)


@pytest.mark.parametrize("form", ["list", "dict"])
def test_several_outputs_have_names(form):
    image = keras.Input(SHAPE)
    features = layers.Flatten()(image)
    outputs = [layers.Dense(4, name="kind")(features), layers.Dense(2, name="size")(features)]
    model = keras.Model(image, outputs if form == "list" else {"kind": outputs[0], "size": outputs[1]})
    contract = state_contract(model, task={"kind": "classification"}, labels={"kind": list("abcd")})
    assert contract.tasks == {"kind": "classification", "size": "regression"}
    assert contract.outputs["kind"].labels == tuple("abcd")
    with pytest.raises(zoo.InputError, match="task has 'x'; the model has the outputs kind, size"):
        state_contract(model, task={"x": "regression"})


@pytest.mark.parametrize(
    ("last", "stated", "expected"),
    [
        (dense(4), {"task": "classification", "from_logits": True}, lambda x: ops.softmax(x)),
        (dense(4), {"task": "multi_label", "from_logits": True}, lambda x: ops.sigmoid(x)),
        (dense(1), {"task": "classification"}, lambda x: ops.concatenate([1 - ops.sigmoid(x), ops.sigmoid(x)], -1)),
        (dense(1, "sigmoid"), {"task": "classification"}, lambda x: ops.concatenate([1 - x, x], axis=-1)),
        (dense(4), {"task": "regression"}, lambda x: x),
    ],
)
def test_decoded_form_takes_bytes_and_gives_outputs_of_the_task(last, stated, expected):
    model = net(last)
    contract = state_contract(model, pixels=(-1, 1), **stated)
    images = np.random.default_rng(0).integers(0, 256, (5, *SHAPE)).astype("uint8")
    raw = model.predict(images / np.float32(127.5) - 1, verbose=0)
    outputs = decoded_form(model).predict(images, verbose=0)
    np.testing.assert_allclose(outputs, ops.convert_to_numpy(expected(raw)), atol=1e-5)
    decoded = contract.outputs.task.decode_outputs(raw, from_logits=contract.outputs.from_logits)
    np.testing.assert_allclose(outputs, decoded, atol=1e-5)


def test_decoded_form_of_a_model_of_the_zoo_is_the_model():
    model = zoo.create_model("lenet5")
    assert decoded_form(model) is model


def test_labels_in_another_order_are_refused():
    model = net(dense(2))
    state_contract(model, known_tasks="classification", known_labels=("cat", "dog"), report=False)
    with pytest.raises(InputError, match="net has the labels cat, dog, but the data has them in the order dog, cat"):
        state_contract(model, known_tasks="classification", known_labels=("dog", "cat"), report=False)
    contract = state_contract(model, known_tasks="classification", known_labels=("up", "down"), report=False)
    assert contract.outputs.labels == ("up", "down")


@accepts_any_model
def refusing(model, **statements):
    state_contract(model, **statements, report=False)
    raise InputError("The data has another task.")


@pytest.mark.parametrize("before", [{}, {"task": "classification", "pixels": "0..1"}])
@pytest.mark.parametrize("model", [net(dense(2)), keras.Sequential([keras.Input(SHAPE), layers.Flatten(), dense(2)])])
def test_statement_that_a_verb_refuses_does_not_hold(model, before):
    if before:
        state_contract(model, **before, report=False)
    expected = contract_of(model)
    with pytest.raises(InputError):
        refusing(model, task="regression", pixels="-1..1")
    assert contract_of(model) == expected


@pytest.mark.parametrize(
    ("last", "known"),
    [
        ([dense(2)], {"pixels": "0..1", "known_tasks": "classification", "known_labels": ("cat", "dog")}),
        ([dense(1, "sigmoid")], {"pixels": (-1, 1), "known_tasks": "classification", "labels": ["cat", "dog"]}),
        ([dense(2, "relu")], {"task": "multi_label", "from_logits": True, "likely_range": (0.0, 1.0)}),
    ],
)
def test_file_keeps_what_was_stated_and_what_was_inferred(last, known, tmp_path):
    model = net(*last)
    contract = state_contract(model, **known, report=False)
    zoo.save_model(model, tmp_path / "net.keras")
    loaded = zoo.load_model(tmp_path / "net.keras")
    assert contract_of(loaded) == contract
    assert zoo.save_model(loaded, tmp_path / "again.keras").exists()
    assert contract_of(zoo.load_model(tmp_path / "again.keras")) == contract


def test_file_of_a_model_with_several_outputs_keeps_what_was_stated(tmp_path):
    image = keras.Input(SHAPE)
    x = layers.Flatten()(image)
    model = keras.Model(image, {"kind": dense(3)(x), "box": dense(4)(x)}, name="net")
    tasks = {"kind": "classification", "box": "regression"}
    contract = state_contract(
        model, task=tasks, labels={"kind": ["a", "b", "c"]}, from_logits={"kind": True}, pixels="0..1", report=False
    )
    loaded = zoo.load_model(zoo.save_model(model, tmp_path / "net.keras"))
    assert contract_of(loaded) == contract


def test_file_of_a_model_of_the_zoo_has_no_statements(tmp_path):
    model = zoo.create_model("lenet5")
    state_contract(model, known_tasks="classification", report=False)
    with zipfile.ZipFile(zoo.save_model(model, tmp_path / "net.keras")) as archive:
        assert "pocketzoo.json" not in archive.namelist()
