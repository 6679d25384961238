"""Quantization grids, ranges and gradients of fake quantization."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from pocketzoo import layers
from pocketzoo.layers.fake_quantization import int8_grid

pytestmark = pytest.mark.fast

numbers = st.floats(-1e3, 1e3, width=32)
few_numbers = arrays("float32", array_shapes(max_dims=3, max_side=5), elements=numbers)
KERNELS = [
    (layers.QuantizedConv2D, {"filters": 4, "kernel_size": 3}),
    (layers.QuantizedConv2D, {"filters": 6, "kernel_size": 3, "groups": 3, "padding": "same", "activation": "relu"}),
    (layers.QuantizedConv2DTranspose, {"filters": 4, "kernel_size": 2, "strides": 2}),
    (layers.QuantizedDepthwiseConv2D, {"kernel_size": 3, "depth_multiplier": 2, "use_bias": False}),
    (layers.QuantizedDense, {"units": 4, "activation": "tanh"}),
]


@pytest.mark.parametrize(("bits", "steps"), [(8, 255), (16, 65534)])
@settings(max_examples=30, deadline=None)
@given(values=few_numbers)
def test_values_are_rounded_to_the_nearest_step_of_the_range(bits, steps, values):
    grid = layers.FakeQuantize(bits=bits)
    rounded = grid(values, training=True).numpy()
    step = (grid.maximum.numpy() - grid.minimum.numpy()) / steps
    # The grid is shifted by up to half a step so that 0 is on it, so an end of the range may be a step off.
    assert np.abs(rounded - values).max() <= step * 1.001
    whole = rounded / np.float64(step)
    assert np.abs(whole - np.round(whole)).max() < 0.02
    assert (rounded[values == 0] == 0).all()


def test_16_bit_range_is_symmetric():
    grid = layers.FakeQuantize(bits=16)
    grid(np.array([-3.0, 1.0], "float32"), training=True)
    assert (grid.minimum.numpy(), grid.maximum.numpy()) == (-3, 3)


def test_range_is_the_mean_of_the_first_batches_then_a_moving_average():
    grid = layers.FakeQuantize(momentum=0.5)
    for top in (1.0, 2.0, 6.0):
        grid(np.array([0.0, top], "float32"), training=True)
    # 1; (1 + 2) / 2; half of that and half of 6.
    assert grid.maximum.numpy() == pytest.approx(3.75)


def test_range_always_contains_zero():
    grid = layers.FakeQuantize()
    grid(np.array([2.0, 5.0], "float32"), training=True)
    assert grid.minimum.numpy() == 0


def test_range_is_constant_in_inference_and_once_frozen():
    grid = layers.FakeQuantize()
    grid(np.array([-1.0, 1.0], "float32"), training=True)
    grid(np.array([-9.0, 9.0], "float32"))
    grid(np.array([-9.0, 9.0], "float32"), training=True, observe=False)
    grid.freeze()
    grid(np.array([-9.0, 9.0], "float32"), training=True)
    assert (grid.minimum.numpy(), grid.maximum.numpy()) == (-1, 1)


def test_known_limits_are_kept():
    grid = layers.FakeQuantize(limits=(0, 255))
    pixels = np.arange(256, dtype="float32")
    np.testing.assert_array_equal(grid(pixels / 2, training=True)[::2], pixels[:128])
    np.testing.assert_array_equal(grid(pixels), pixels)


@pytest.mark.parametrize(("arguments", "error"), [({"bits": 4}, "bits is 4"), ({"limits": (1, 2)}, "limits are")])
def test_invalid_arguments_are_refused(arguments, error):
    with pytest.raises(ValueError, match=error):
        layers.FakeQuantize(**arguments)


def test_gradient_passes_straight_through_inside_the_range_only():
    grid = layers.FakeQuantize(limits=(-1, 1))
    values = tf.constant([-2.0, -0.503, 0.3, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(values)
        total = keras.ops.sum(grid(values))
    np.testing.assert_array_equal(tape.gradient(total, values), [0, 1, 1, 0])


@settings(max_examples=30, deadline=None)
@given(kernel=arrays("float32", (3, 4), elements=numbers))
def test_kernels_have_127_steps_on_each_side_and_keep_zeros(kernel):
    kernel = tf.constant(kernel)
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        rounded = int8_grid(kernel, (0,))
        total = keras.ops.sum(rounded)
    steps = np.maximum(np.abs(kernel).max(axis=0), keras.config.epsilon()) / np.float32(127)
    whole = rounded / steps
    assert np.abs(whole - np.round(whole)).max() < 1e-3
    assert np.abs(rounded - kernel).max() <= steps.max() * 0.5001
    assert (rounded.numpy()[kernel == 0] == 0).all()
    np.testing.assert_array_equal(tape.gradient(total, kernel), np.ones((3, 4)))


@pytest.mark.parametrize(("layer_class", "arguments"), KERNELS)
def test_layer_equals_the_keras_layer_with_the_rounded_kernel(layer_class, arguments):
    images = np.random.default_rng(0).normal(size=(2, 5, 5, 3)).astype("float32")
    layer = layer_class(**arguments)
    answers = layer(images)
    stock = layer.as_stock()
    assert type(stock).__module__.startswith("keras.")
    np.testing.assert_allclose(stock(images), answers, rtol=1e-5, atol=1e-6)
    kernel, rounded = layer.kernel.numpy(), stock.kernel.numpy()
    assert 0 < np.abs(kernel - rounded).max() < np.abs(kernel).max() / 127
