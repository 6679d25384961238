"""Files of Keras 2, written here by tf_keras, and SavedModel folders of TensorFlow."""

import json

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from pocketzoo import zoo
from pocketzoo.zoo.contract import state_contract
from pocketzoo.zoo.output_form import compiled_losses

tf_keras = pytest.importorskip("tf_keras")
L = tf_keras.layers
PHOTO = (16, 16, 3)


def teachable_machine():
    """As Teachable Machine builds it, from a MobileNet and two dense layers."""
    base = tf_keras.applications.MobileNet(weights=None, include_top=False, input_shape=(32, 32, 3), alpha=0.25)
    features = tf_keras.Sequential([base, L.GlobalAveragePooling2D()])
    classifier = tf_keras.Sequential(
        [L.Dense(10, activation="relu", input_shape=(256,)), L.Dense(3, activation="softmax", use_bias=False)]
    )
    return tf_keras.Sequential([features, classifier])


def every_convolution():
    image = L.Input(PHOTO)
    x = L.Conv2D(4, 3, kernel_regularizer="l2", kernel_initializer=tf_keras.initializers.VarianceScaling())(image)
    x = L.SeparableConv2D(4, 3, depthwise_regularizer=tf_keras.regularizers.L1L2(0.1, 0.1))(L.BatchNormalization()(x))
    x = L.Conv2DTranspose(3, 2, strides=2)(L.DepthwiseConv2D(3, kernel_constraint="max_norm")(x))
    return tf_keras.Model(image, L.Dense(3, activation="softmax")(L.GlobalAveragePooling2D()(x)))


def operations_between_layers():
    image = L.Input(PHOTO)
    x = tf_keras.applications.mobilenet_v2.preprocess_input(image)
    x = tf.nn.relu(L.Conv2D(4, 3)(x)) * 2.0 + 1.0
    x = 3.0 - (x + L.Conv2D(4, 1)(x))
    return tf_keras.Model(image, L.Dense(2)(L.Flatten()(x)))


def transfer_idiom():
    inner = every_convolution()
    base = tf_keras.Model(inner.input, inner.layers[-2].output, name="base")
    image = L.Input(PHOTO)
    shared = base(image, training=False) + base(L.ReLU(max_value=100)(image))
    return tf_keras.Model(image, L.Dense(2, activation="softmax")(L.Dropout(0.2)(shared)))


def recurrent():
    rows = L.Input((5, 3))
    return tf_keras.Model(rows, L.Dense(2)(L.Bidirectional(L.LSTM(4))(L.GRU(3, return_sequences=True)(rows))))


def two_inputs_and_outputs():
    first, second = L.Input((8, 8, 3), name="b"), L.Input((5,), name="a")
    x = L.Concatenate()([L.GlobalMaxPooling2D()(L.Conv2D(3, 3)(first)), second])
    return tf_keras.Model([first, second], [L.Dense(2, name="y")(x), L.Dense(1, name="x")(x)])


NETS = [
    teachable_machine,
    every_convolution,
    operations_between_layers,
    transfer_idiom,
    recurrent,
    two_inputs_and_outputs,
]


def built(make):
    """A model with the weights of no initialization, since some layers start with ones and zeros."""
    model, generator = make(), np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(generator.uniform(0.1, 0.5, weight.shape))
    return model


def outputs(model, arrays):
    result = model(arrays if len(arrays) > 1 else arrays[0])
    return [np.asarray(each) for each in tf.nest.flatten(result)]


def inputs_of(model):
    generator = np.random.default_rng(1)
    sizes = [tuple(tensor.shape[1:]) for tensor in model.inputs]
    return [generator.uniform(0, 2, (2, *size)).astype("float32") for size in sizes]


@pytest.fixture(scope="module", params=NETS, ids=lambda make: make.__name__)
def net(request):
    return built(request.param)


@pytest.mark.parametrize("ending", ["h5", "keras"])
def test_file_of_keras_2_has_the_outputs_of_tf_keras(net, ending, tmp_path):
    net.compile("adam", "mse")
    net.save(tmp_path / f"net.{ending}")
    loaded, arrays = zoo.load_model(tmp_path / f"net.{ending}"), inputs_of(net)
    for ours, theirs in zip(outputs(loaded, arrays), outputs(net, arrays), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    if len(arrays) == 1:
        zoo.flatten_model(loaded)


def test_mixed_precision_of_keras_2_is_kept(tmp_path):
    tf_keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = built(every_convolution)
    finally:
        tf_keras.mixed_precision.set_global_policy("float32")
    model.save(tmp_path / "mixed.h5")
    loaded, arrays = zoo.load_model(tmp_path / "mixed.h5"), inputs_of(model)
    assert loaded.layers[1].dtype_policy.name == "mixed_float16"
    np.testing.assert_allclose(outputs(loaded, arrays)[0], outputs(model, arrays)[0], atol=0.03)


@pytest.fixture
def edited(tmp_path):
    """Write an .h5 file whose layers have other arguments than tf_keras of today writes."""

    def write(model, layer, **changes):
        path = tmp_path / "edited.h5"
        model.save(path)
        with h5py.File(path, "r+") as file:
            config = json.loads(file.attrs["model_config"])
            for entry in config["config"]["layers"]:
                if entry["class_name"] == layer:
                    entry["config"] |= changes
            file.attrs["model_config"] = json.dumps(config)
        return path

    return write


def test_forms_of_early_versions_are_read(edited):
    model = built(every_convolution)
    path = edited(model, "BatchNormalization", axis=[3], fused=None, renorm=False, virtual_batch_size=None)
    loaded, arrays = zoo.load_model(path), inputs_of(model)
    np.testing.assert_allclose(outputs(loaded, arrays)[0], outputs(model, arrays)[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("layer", "changes", "message"),
    [
        ("DepthwiseConv2D", {"groups": 2}, r"its layer depthwise_conv2d.* has groups=2, which Keras 3 does not have"),
        ("BatchNormalization", {"virtual_batch_size": 4}, r"batch_normalization.* has virtual_batch_size=4"),
        ("BatchNormalization", {"axis": [1, 3]}, r"normalizes over the axes \[1, 3\]; Keras 3 takes one"),
    ],
)
def test_what_keras_3_does_not_have_is_named(layer, changes, message, edited):
    with pytest.raises(zoo.InputError, match=message):
        zoo.load_model(edited(built(every_convolution), layer, **changes))


def test_operation_without_a_layer_is_named(tmp_path):
    image = L.Input(PHOTO)
    tf_keras.Model(image, tf.image.flip_left_right(image)).save(tmp_path / "flip.h5")
    with pytest.raises(zoo.InputError, match=r"flip\.h5 .*is the operation image\.flip_left_right between layers"):
        zoo.load_model(tmp_path / "flip.h5")


@pytest.mark.parametrize("ending", ["h5", "keras"])
def test_lambda_of_keras_2_is_refused_in_words(ending, tmp_path):
    image = L.Input((4,))
    tf_keras.Model(image, L.Lambda(lambda x: x * 2, name="double")(image)).save(tmp_path / f"lambda.{ending}")
    with pytest.raises(zoo.InputError, match="its layer double is a Lambda, which contains code"):
        zoo.load_model(tmp_path / f"lambda.{ending}")


def test_weights_without_a_model_are_named(tmp_path):
    built(every_convolution).save_weights(tmp_path / "weights.h5")
    with pytest.raises(zoo.InputError, match=r"weights\.h5 .*it has weights only"):
        zoo.load_model(tmp_path / "weights.h5")


def test_h5_file_of_keras_3_is_read(tmp_path, pixels):
    image = keras.Input(PHOTO)
    model = keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(keras.layers.DepthwiseConv2D(3)(image))))
    model.save(tmp_path / "three.h5")
    images = pixels(2, *PHOTO)
    np.testing.assert_array_equal(zoo.load_model(tmp_path / "three.h5")(images), model(images))


@pytest.mark.parametrize("ending", ["h5", "keras"])
@pytest.mark.parametrize(
    ("loss", "activation", "expected"),
    [
        (tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True), None, ("classification", True)),
        (tf_keras.losses.binary_crossentropy, "sigmoid", ("multi_label", False)),
        ("mse", None, ("regression", False)),
        (lambda targets, outputs: targets - outputs, None, ("regression", False)),
    ],
)
def test_loss_in_a_file_of_keras_2_says_what_the_output_is(ending, loss, activation, expected, tmp_path):
    model = tf_keras.Sequential([L.Input((4, 4, 3)), L.Flatten(), L.Dense(3, activation)])
    model.compile("adam", loss)
    model.save(tmp_path / f"net.{ending}")
    contract = state_contract(zoo.load_model(tmp_path / f"net.{ending}"), report=False)
    assert (contract.outputs.task_name, contract.outputs.from_logits) == expected


def test_losses_of_several_outputs_in_a_file_stay_with_their_outputs(tmp_path):
    model = built(two_inputs_and_outputs)
    model.compile("adam", {"x": "mse", "y": tf_keras.losses.CategoricalCrossentropy(from_logits=True)})
    model.save(tmp_path / "net.h5")
    losses = compiled_losses(zoo.load_model(tmp_path / "net.h5"))
    assert losses["x"] == "mse"
    assert losses["y"].get_config()["from_logits"] is True


@pytest.mark.parametrize("ending", ["h5", "keras"])
def test_file_with_a_loss_and_metric_of_ones_own_loads_without_them(ending, tmp_path):
    class Own(keras.metrics.Mean):
        pass

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile("adam", lambda targets, outputs: targets - outputs, metrics=[Own()])
    model.save(tmp_path / f"own.{ending}")
    assert zoo.load_model(tmp_path / f"own.{ending}").count_params() == 10


@pytest.mark.parametrize("save", ["keras2", "keras3"])
def test_saved_model_has_the_outputs_of_the_model(save, tmp_path):
    if save == "keras2":
        model = built(every_convolution)
        model.save(tmp_path / "folder", save_format="tf")
    else:
        model = zoo.create_model("resnet20", input_shape=(16, 16, 3))
        model.export(tmp_path / "folder", verbose=False)
    loaded, arrays = zoo.load_model(tmp_path / "folder"), inputs_of(model)
    np.testing.assert_allclose(outputs(loaded, arrays)[0], outputs(model, arrays)[0], rtol=1e-4, atol=1e-6)
    assert (loaded.name, loaded.trainable_weights) == ("folder", [])


class Unsafe(tf.Module):
    """Writes a file when it is run."""

    def __init__(self, path):
        super().__init__()
        self.path = str(path)

    @tf.function(input_signature=[tf.TensorSpec((None, 4))])
    def serve(self, values):
        return tf.cond(tf.reduce_sum(values) > 0, lambda: self.write(values), lambda: values)

    def write(self, values):
        with tf.control_dependencies([tf.io.write_file(self.path, "here")]):
            return tf.identity(values)


def test_saved_model_that_writes_files_is_refused(tmp_path):
    module = Unsafe(tmp_path / "written.txt")
    tf.saved_model.save(module, str(tmp_path / "unsafe"), signatures=module.serve)
    with pytest.raises(zoo.InputError, match="could read or write files or run code: it has the operations WriteFile"):
        zoo.load_model(tmp_path / "unsafe")
    assert not (tmp_path / "written.txt").exists()


def test_saved_model_with_a_table_in_a_file_is_refused(tmp_path):
    (tmp_path / "words.txt").write_text("a\nb\n")
    module = tf.Module()
    reader = tf.lookup.TextFileInitializer(
        str(tmp_path / "words.txt"), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, -1
    )
    module.table = tf.lookup.StaticHashTable(reader, 0)
    module.serve = tf.function(lambda x: module.table.lookup(x), [tf.TensorSpec((None,), tf.string)])
    tf.saved_model.save(module, str(tmp_path / "table"), signatures=module.serve)
    with pytest.raises(zoo.InputError, match="it has tables or files that loading would open"):
        zoo.load_model(tmp_path / "table")


def test_attribute_in_place_of_the_checked_signature_is_refused(tmp_path):
    module = Unsafe(tmp_path / "written.txt")
    module.serving_default = module.serve
    harmless = tf.function(lambda values: values, [tf.TensorSpec((None, 4))])
    tf.saved_model.save(module, str(tmp_path / "hidden"), signatures={"serving_default": harmless})
    with pytest.raises(zoo.InputError, match="both a signature and an attribute"):
        zoo.load_model(tmp_path / "hidden")


def test_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(zoo.InputError, match=r"without saved_model\.pb"):
        zoo.load_model(tmp_path)
