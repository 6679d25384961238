import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from pocketzoo import zoo
from pocketzoo.zoo.float32_form import float32_form


class Scale(layers.Layer):
    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],), initializer="ones", name="factor")

    def call(self, inputs):
        return inputs * self.factor


def own_model():
    """Nested, with a custom layer that is registered nowhere, and a Lambda."""
    image = keras.Input((16, 16, 3))
    block = keras.Sequential([layers.Conv2D(4, 3), layers.BatchNormalization()])
    maps = Scale()(layers.Lambda(lambda x: x * 2)(block(layers.Rescaling(1 / 255)(image))))
    return keras.Model(image, layers.Dense(2, activation="softmax")(layers.GlobalAveragePooling2D()(maps)))


@pytest.mark.parametrize("policy", ["mixed_float16", "bfloat16", "mixed_bfloat16", "float64"])
@pytest.mark.parametrize("make", [own_model, lambda: zoo.create_model("lenet5", input_shape=(16, 16, 3))])
def test_copy_computes_in_float32_with_the_same_weights(make, policy, pixels):
    keras.config.set_dtype_policy(policy)
    try:
        model = make()
    finally:
        keras.config.set_dtype_policy("float32")
    form, images = float32_form(model), pixels(2, 16, 16, 3)
    assert {layer.compute_dtype for layer in zoo.flatten_model(form).layers} == {"float32"}
    for copied, own in zip(form.weights, model.weights, strict=True):
        np.testing.assert_array_equal(copied, keras.ops.cast(own, "float32"))
    np.testing.assert_allclose(form(images), keras.ops.cast(model(images), "float32"), atol=0.05)
    assert any(layer.compute_dtype != "float32" for layer in model.layers)


def test_float32_model_is_its_own_form():
    model = zoo.create_model("lenet5")
    assert float32_form(model) is model


def test_layer_that_cannot_compute_in_float32_is_named_with_the_reason():
    half = tf.constant(0.5, tf.float16)
    image = keras.Input((4, 4, 1), dtype="float16")
    model = keras.Model(image, layers.Lambda(lambda x: x * half, dtype="float16")(image), name="net")
    with pytest.raises(zoo.InputError, match=r"cannot be copied in float32: (?!Exception).+, in Lambda; create"):
        float32_form(model)
