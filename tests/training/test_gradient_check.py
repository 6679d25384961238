"""Gradient checks of every layer of the zoo, and of layers with wrong gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.layer_cases import CASES

from pocketzoo import zoo
from pocketzoo.layers import AnomalyHead, FakeQuantize, LogMelSpectrogram
from pocketzoo.layers.quantized_kernels import KernelOnGrid
from pocketzoo.training import check_gradients

IMAGES = np.random.default_rng(0).normal(size=(2, 5, 5, 3))

# Where a layer rounds, its gradient is meant to be another than the slope, which is 0: it goes straight through.
# A spectrogram and the scores of anomalies have constants in float32 and nothing to be trained.
NOT_CHECKED = FakeQuantize | KernelOnGrid | LogMelSpectrogram | AnomalyHead
SMOOTH = [case for case in CASES if not issubclass(case.values[0], NOT_CHECKED)]


@pytest.mark.parametrize(("layer_class", "arguments", "input_shape", "output_shape", "trainable"), SMOOTH)
def test_gradients_of_every_layer_are_correct(layer_class, arguments, input_shape, output_shape, trainable):
    layer, random = layer_class(**arguments), np.random.default_rng(0)
    shapes = input_shape if isinstance(input_shape, list) else [input_shape]
    layer.build(input_shape)
    # Fresh ones hide errors: a gain of 1 and a shift of 0 are nothing to multiply or to add.
    layer.set_weights([random.uniform(0.3, 1.5, weight.shape) for weight in layer.weights])
    images = [random.normal(size=shape) for shape in shapes]
    images = images if isinstance(input_shape, list) else images[0]
    report = check_gradients(layer, images, training=True, entries=2)
    assert len(report.checks) == len(shapes) + trainable
    assert report.largest_error < 1e-6


class Scaled(keras.layers.Layer):
    """A ReLU of the input times a weight; its gradients are multiplied by the factors."""

    def __init__(self, of_input=1.0, of_weight=1.0, **kwargs):
        super().__init__(**kwargs)
        self.of_input, self.of_weight = of_input, of_weight

    def build(self, input_shape):
        self.gain = self.add_weight(shape=input_shape[-1:], initializer="ones", name="gain")

    def call(self, inputs):
        @tf.custom_gradient
        def scaled(x, gain):
            open_ = tf.cast(x * gain > 0, x.dtype)

            def backwards(upstream):
                by_gain = tf.reduce_sum(upstream * open_ * x, axis=[0, 1, 2])
                return self.of_input * upstream * open_ * gain, self.of_weight * by_gain

            return x * gain * open_, backwards

        return scaled(inputs, tf.convert_to_tensor(self.gain))

    def get_config(self):
        return super().get_config() | {"of_input": self.of_input, "of_weight": self.of_weight}


@pytest.mark.parametrize("factor", [0.0, -1.0, 0.5, 1.001])
@pytest.mark.parametrize(("name", "argument"), [("input", "of_input"), ("scaled/gain", "of_weight")])
def test_wrong_gradient_is_located(name, argument, factor):
    report = check_gradients(Scaled(name="scaled", **{argument: factor}), IMAGES)
    wrong = {path: check.relative_error for path, check in report.checks.items() if check.relative_error > 1e-6}
    assert wrong == {name: pytest.approx(abs(1 - factor) / (1 + abs(factor)), rel=1e-3)}
    assert check_gradients(Scaled(), IMAGES).largest_error < 1e-6


@pytest.mark.parametrize("argument", ["of_input", "of_weight"])
def test_gradient_that_is_no_number_is_an_error(argument):
    assert np.isnan(check_gradients(Scaled(**{argument: float("nan")}), IMAGES).largest_error)


def test_kinks_are_counted_and_are_not_errors():
    images = IMAGES.copy()
    images[0] = 0.0  # where ReLU has no derivative
    images[1, 0] = 3e-7  # within the step
    check = check_gradients(keras.layers.ReLU(), images, entries=15).checks["input"]
    assert check.kinks > 0
    assert check.checked > 0
    assert check.relative_error < 1e-6


def test_weight_that_is_all_kinks_counts_as_unchecked():
    report = check_gradients(keras.layers.ReLU(), np.zeros((1, 2, 2, 1)))
    assert (report.checks["input"].checked, report.checks["input"].kinks, report.largest_error) == (0, 4, None)


def test_model_with_several_outputs_is_checked_without_being_changed(pixels):
    heads = {"kind": "classification", "tags": "multi_label"}
    model = zoo.create_model("lenet5", head=heads, classes={"kind": 3, "tags": 2})
    before = model.get_weights()
    report = check_gradients(model, pixels(2, *model.input_shape[1:]), entries=2)
    assert report.checks.keys() == {"input"} | {weight.path for weight in model.trainable_variables}
    assert report.largest_error < 1e-6
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert {weight.dtype for weight in model.weights} == {"float32"}


def test_gradient_of_the_loss_is_checked_too():
    random = np.random.default_rng(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, activation="softmax")])
    images, targets = random.normal(size=(5, 3)), np.eye(4)[random.integers(0, 4, 5)]
    for loss in (keras.losses.CategoricalCrossentropy(dtype="float64"), keras.losses.categorical_crossentropy):
        assert check_gradients(model, images, targets, loss=loss).largest_error < 1e-6

    @tf.custom_gradient
    def wrong(targets, outputs):
        return tf.reduce_sum((outputs - targets) ** 2), lambda upstream: (None, upstream * (outputs - targets))

    report = check_gradients(model, images, targets, loss=wrong)
    assert {round(check.relative_error, 3) for check in report.checks.values()} == {0.333}  # half of what it should be


def test_random_layers_draw_the_same_numbers_in_every_call():
    assert check_gradients(keras.layers.Dropout(0.5, seed=1), IMAGES, training=True).largest_error < 1e-6


def test_float32_loss_is_rejected():
    with pytest.raises(zoo.InputError, match="mean_squared_error computes in float32, too coarse"):
        check_gradients(keras.layers.ReLU(), IMAGES, IMAGES, loss=keras.losses.MeanSquaredError())
    with pytest.raises(zoo.InputError, match="targets and loss together"):
        check_gradients(keras.layers.ReLU(), IMAGES, IMAGES)


def test_images_with_a_nan_loss_are_rejected():
    with pytest.raises(zoo.InputError, match="the loss of these images is nan"):
        check_gradients(keras.layers.ReLU(), IMAGES * np.nan)
