"""Models of every form: Sequential, subclassed, nested, with custom layers, with layers of equal names."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from pocketzoo import zoo
from pocketzoo.zoo.functional_form import functional_form

pytestmark = pytest.mark.fast


class Block(keras.Model):
    """Its layers have the same names in every block."""

    def __init__(self, filters):
        super().__init__()
        self.conv = layers.Conv2D(filters, 3, padding="same", name="conv")
        self.norm = layers.BatchNormalization(name="norm")

    def call(self, inputs, training=None):
        return ops.relu(self.norm(self.conv(inputs), training=training))


class Net(keras.Model):
    """Made of layers and operations, the same in training and in inference."""

    def __init__(self):
        super().__init__()
        self.first, self.second = Block(4), Block(4)
        self.pool, self.drop = layers.GlobalAveragePooling2D(), layers.Dropout(0.5)
        self.scores = layers.Dense(3, activation="softmax")

    def call(self, inputs, training=None):
        features = self.first(inputs, training=training)
        features = self.second(features) + features
        return self.scores(self.drop(self.pool(features), training=training))


class Short(keras.Model):
    """One block and a classifier."""

    def __init__(self):
        super().__init__()
        self.first, self.pool, self.drop = Block(4), layers.GlobalAveragePooling2D(), layers.Dropout(0.5)
        self.scores = layers.Dense(3, activation="softmax")


class OnlyInTraining(Short):
    """Applies its dropout in training only, by an `if`."""

    def call(self, inputs, training=None):
        features = self.pool(self.first(inputs))
        return self.scores(self.drop(features, training=True) if training else features)


class TensorFlowCode(Short):
    """Calls functions of TensorFlow, which take no symbolic tensors of Keras."""

    def call(self, inputs):
        return self.scores(self.pool(tf.nn.relu(self.first(inputs))))


class Scale(layers.Layer):
    """A custom layer with a weight of its own."""

    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],), initializer="ones", name="factor")

    def call(self, inputs):
        return inputs * self.factor


class ConvNorm(layers.Layer):
    """A custom layer that is made of layers."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv, self.norm = layers.Conv2D(4, 3, name="conv"), layers.BatchNormalization(name="norm")

    def build(self, shape):
        self.conv.build(shape)
        self.norm.build((*shape[:-1], 4))

    def call(self, inputs, training=None):
        return self.norm(self.conv(inputs), training=training)


def called(model, images):
    model(images[:1])
    return model


@pytest.fixture
def images(pixels):
    return pixels(2, 16, 16, 3)


@pytest.mark.parametrize("kind", [Net, OnlyInTraining, TensorFlowCode])
def test_subclassed_model_and_its_functional_form_have_the_same_outputs_and_weights(kind, images):
    model = called(kind(), images)
    form, flat = functional_form(model), zoo.flatten_model(model)
    for weight in model.trainable_weights:
        weight.assign(weight + 0.1)
    for each in (form, flat):
        np.testing.assert_allclose(each(images, training=False), model(images, training=False), rtol=1e-6)
        assert {id(weight) for weight in each.weights} <= {id(weight) for weight in model.weights}
    assert len(form.trainable_weights) == len(model.trainable_weights) - (0 if kind is Net else 4) * (
        len(form.layers) > 2
    )


def test_subclassed_model_of_layers_is_flattened_at_any_depth(images):
    flat = zoo.flatten_model(called(Net(), images))
    assert [type(layer).__name__ for layer in flat.layers if layer.weights] == [
        "Conv2D",
        "BatchNormalization",
        "Conv2D",
        "BatchNormalization",
        "Dense",
    ]


def test_dropout_behind_an_if_is_not_lost(images):
    """Written out for inference, such a model would train without its dropout."""
    model = called(OnlyInTraining(), images)
    assert model in zoo.flatten_model(model).layers
    form = functional_form(model)
    assert not np.allclose(form(images, training=True), form(images, training=True))


def test_model_that_cannot_be_written_out_is_one_layer(images):
    model = called(TensorFlowCode(), images)
    assert zoo.flatten_model(model).layers[-1] is model


def test_functional_model_is_its_own_form_and_stays_compiled():
    model = zoo.create_model("lenet5")
    model.compile("adam", "sparse_categorical_crossentropy")
    assert functional_form(model) is model
    assert model.compiled


def test_input_shape_makes_a_model_that_was_never_called(images):
    model = Net()
    assert functional_form(model, input_shape=(16, 16, 3)).output_shape == (None, 3)
    np.testing.assert_allclose(functional_form(model)(images), model(images), rtol=1e-6)


def test_two_models_of_the_zoo_inside_one_are_flattened(pixels, tmp_path):
    first, second = (zoo.create_model("lenet5") for _ in range(2))
    second.name = "other"
    image = keras.Input((32, 32, 1))
    model = keras.Model(image, layers.Average()([first(image), second(image)]))
    flat, images = zoo.flatten_model(model), pixels(2, 32, 32, 1)
    assert len({layer.name for layer in flat.layers}) == len(flat.layers)
    second.get_layer("head").dense.kernel.assign(3 * second.get_layer("head").dense.kernel)
    np.testing.assert_array_equal(flat(images), model(images))
    assert second.get_layer("dense1").name == "dense1"
    flat.save(tmp_path / "flat.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "flat.keras")(images), model(images))


def test_shared_layer_of_two_branches_stays_one_layer(images):
    shared = ConvNorm(name="shared")
    image = keras.Input((16, 16, 3))
    model = keras.Model(image, layers.Add()([shared(image), shared(layers.ReLU()(image))]))
    flat = zoo.flatten_model(model)
    assert [layer.name for layer in flat.layers].count("conv") == 1
    np.testing.assert_array_equal(flat(images), model(images))


def test_custom_layers_stay_where_they_have_weights_and_are_written_out_where_they_are_made_of_layers(images):
    image = keras.Input((16, 16, 3))
    own = Scale(name="own")
    flat = zoo.flatten_model(keras.Model(image, layers.Dense(2)(own(ConvNorm()(ConvNorm()(image))))))
    assert own in flat.layers
    assert [layer.name for layer in flat.layers if isinstance(layer, layers.Conv2D)] == ["conv", "conv_1"]


def test_batch_norm_inside_a_subclassed_model_follows_training(images):
    model = called(Net(), images)
    form = functional_form(model)
    before = model.first.norm.moving_mean.numpy()
    form(images, training=False)
    np.testing.assert_array_equal(model.first.norm.moving_mean, before)
    form(images, training=True)
    assert not np.array_equal(model.first.norm.moving_mean, before)


@pytest.mark.parametrize("name", ["", "cnn/v2"])
def test_name_that_no_file_can_have_is_refused(name):
    model = keras.Sequential([keras.Input((4, 4, 1)), layers.Flatten()])
    model.name = name
    with pytest.raises(zoo.InputError, match=f"the name of the model is '{name}'; set model.name to one"):
        functional_form(model)
