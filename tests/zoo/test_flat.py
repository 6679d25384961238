import keras
import numpy as np
import pytest

from pocketzoo import layers, zoo

pytestmark = pytest.mark.fast


def test_layer_applied_twice_stays_one_layer(pixels):
    conv = layers.ConvNormAct(3, 3, name="twice")
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, conv(conv(image)))
    flat = zoo.flatten_model(model)
    assert [layer.name for layer in flat.layers].count("twice_conv") == 1
    images = pixels(2, 8, 8, 3)
    assert np.abs(model.predict(images, verbose=0) - flat.predict(images, verbose=0)).max() == 0.0


def test_nested_models_are_flattened(pixels):
    inner = zoo.create_model("lenet5")
    image = keras.Input((32, 32, 1))
    model = keras.Model(image, keras.layers.Dense(2)(inner(image)))
    flat = zoo.flatten_model(model)
    assert not any(isinstance(layer, keras.Model) for layer in flat.layers)
    assert all(isinstance(operation, keras.layers.Layer) for operation in flat.operations)
    images = pixels(2, 32, 32, 1)
    assert np.abs(model.predict(images, verbose=0) - flat.predict(images, verbose=0)).max() == 0.0


def test_layers_called_with_a_training_flag_are_flattened(pixels):
    inner = zoo.create_model("resnet20", input_shape=(16, 16, 3))
    image = keras.Input((16, 16, 3))
    block = layers.ConvNormAct(3, 3, name="frozen")
    model = keras.Model(image, keras.layers.Dense(2)(inner(block(image, training=False), training=False)))
    flat = zoo.flatten_model(model)
    images = pixels(4, 16, 16, 3)
    before = [weight.numpy() for weight in flat.non_trainable_weights]
    np.testing.assert_array_equal(flat(images), model(images))
    assert all(np.array_equal(b, w) for b, w in zip(before, flat.non_trainable_weights, strict=True))


def test_sequential_model_that_was_never_called_is_flattened(pixels):
    model = keras.Sequential([keras.Input((8, 8, 1)), layers.ConvNormAct(3, 3), layers.ClassificationHead(2)])
    flat = zoo.flatten_model(model)
    images = pixels(2, 8, 8, 1)
    np.testing.assert_array_equal(flat(images), model(images))


def test_compiled_model_keeps_its_optimizer_and_flat_form_has_none():
    model = zoo.create_model("lenet5")
    model.compile("adam", "sparse_categorical_crossentropy")
    optimizer = model.optimizer
    assert not zoo.flatten_model(model).compiled
    assert model.optimizer is optimizer


def test_flat_form_follows_training_in_batch_norm_and_dropout(pixels):
    image = keras.Input((6, 6, 3))
    head = layers.ClassificationHead(4, dropout=0.5)
    flat = zoo.flatten_model(keras.Model(image, head(layers.ConvNormAct(4, 3)(image))))
    images = pixels(4, 6, 6, 3)
    before = [weight.numpy() for weight in flat.non_trainable_weights]
    flat(images, training=False)
    assert all(np.array_equal(b, w) for b, w in zip(before, flat.non_trainable_weights, strict=True))
    flat(images, training=True)
    assert not all(np.array_equal(b, w) for b, w in zip(before, flat.non_trainable_weights, strict=True))


def test_unbuilt_models_are_told_how_to_get_an_input_shape():
    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(zoo.InputError, match="never called, so its input shape is unknown; call it once on a batch"):
        zoo.flatten_model(Own())
    with pytest.raises(zoo.InputError, match="its input shape is unknown; make keras"):
        zoo.flatten_model(keras.Sequential([keras.layers.Dense(2)]))
