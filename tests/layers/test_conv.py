import keras
import numpy as np
import pytest
from support.reference import conv_norm, convolve, depthwise, normalize, randomized, sigmoid

from pocketzoo import layers

pytestmark = pytest.mark.fast

ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "swish": lambda x: x * sigmoid(x),
    "hard_swish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "tanh": np.tanh,
}


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"strides": 2},
        {"strides": 2, "padding": 1},
        {"padding": "valid"},
        {"padding": 2, "dilation_rate": 2},
        {"padding": 0, "strides": 3},
    ],
)
def test_conv_norm_act_is_convolution_normalization_relu(x, arguments):
    layer = randomized(layers.ConvNormAct(4, 3, **arguments), x)
    np.testing.assert_allclose(layer(x), conv_norm(x, layer), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("arguments", [{"strides": 2}, {"dilation_rate": 2}, {}])
def test_symmetric_padding_is_half_the_dilated_kernel_size(x, arguments):
    layer = randomized(layers.ConvNormAct(4, 3, padding="symmetric", **arguments), x)
    zeros = layers.ConvNormAct(4, 3, padding=arguments.get("dilation_rate", 1), **arguments)
    zeros.build(x.shape)
    zeros.set_weights(layer.get_weights())
    np.testing.assert_array_equal(layer(x), zeros(x))
    assert layers.ConvNormAct(4, (1, 5), padding="symmetric", strides=2)(x).shape == (2, 4, 3, 4)


@pytest.mark.parametrize(("kernel_size", "shape"), [((1, 7), (2, 9, 1, 4)), ((3, 3), (2, 7, 5, 4))])
def test_zero_padding_with_a_non_square_kernel(x, kernel_size, shape):
    assert layers.ConvNormAct(4, kernel_size, padding=1)(x[:, :, :5]).shape == shape


def test_groups_are_convolved_separately():
    x = np.random.default_rng(0).normal(size=(2, 6, 5, 4)).astype("float32")
    layer = randomized(layers.ConvNormAct(6, 3, groups=2), x)
    np.testing.assert_allclose(layer(x), conv_norm(x, layer), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_matches_its_name(x, name):
    layer = layers.ConvNormAct(4, 1, norm=None, activation=name)
    layer.build(x.shape)
    linear = 3 * convolve(x, layer.conv.kernel.numpy())
    layer.conv.kernel.assign(3 * layer.conv.kernel)
    np.testing.assert_allclose(layer(x), ACTIVATIONS[name](linear), rtol=1e-4, atol=1e-5)


def test_prelu_has_one_slope_per_channel(x):
    layer = randomized(layers.ConvNormAct(4, 1, norm=None, activation="prelu"), x)
    linear = convolve(x, layer.conv.kernel.numpy()) + layer.conv.bias.numpy()
    slopes = layer.act.alpha.numpy()
    assert slopes.shape == (1, 1, 4)
    np.testing.assert_allclose(layer(x), np.where(linear > 0, linear, slopes * linear), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("norm", "axes"), [("layer", (3,)), ("instance", (1, 2)), ({"name": "group", "groups": 1}, (1, 2, 3))]
)
def test_normalization_computes_statistics_over_its_axes(x, norm, axes):
    layer = layers.ConvNormAct(4, 1, norm=norm, activation=None)
    layer.build(x.shape)
    linear = convolve(x, layer.conv.kernel.numpy())
    expected = (linear - linear.mean(axes, keepdims=True)) / np.sqrt(linear.var(axes, keepdims=True) + 1e-3)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-3, atol=1e-4)


def test_convolution_has_a_bias_only_without_normalization():
    for norm, expected in (("batch", 0), (None, 1)):
        layer = layers.ConvNormAct(4, 3, norm=norm)
        layer.build((None, 8, 8, 3))
        assert len(layer.conv.weights) == 1 + expected


@pytest.mark.parametrize("strides", [1, 2])
def test_depthwise_convolves_every_channel_separately(x, strides):
    layer = randomized(layers.DepthwiseConvNormAct(3, strides=strides, padding=1), x)
    plain = depthwise(x, layer.conv.kernel.numpy(), strides, padding=1)
    np.testing.assert_allclose(layer(x), np.maximum(normalize(plain, layer.normalization), 0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("between", [False, True])
def test_separable_is_depthwise_then_pointwise(x, between):
    layer = randomized(layers.SeparableConvNormAct(4, 3, between=between), x)
    inner = depthwise(x, layer.depthwise.conv.kernel.numpy())
    if between:
        inner = np.maximum(normalize(inner, layer.depthwise.normalization), 0)
    np.testing.assert_allclose(layer(x), conv_norm(inner, layer.pointwise), rtol=1e-4, atol=1e-5)


def test_norm_act_normalizes_then_activates(x):
    layer = randomized(layers.NormAct(), x)
    np.testing.assert_allclose(layer(x), np.maximum(normalize(x, layer.normalization), 0), rtol=1e-4, atol=1e-5)


def test_depthwise_kernels_are_initialized_with_variance_two_over_kernel_area():
    layer = layers.DepthwiseConvNormAct(3)
    keras.utils.set_random_seed(0)
    layer.build((None, 8, 8, 512))
    assert layer.conv.kernel.numpy().var() == pytest.approx(2 / 9, rel=0.1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.ConvNormAct(4, 3, padding="full"), "padding is 'full'; allowed are 'same', 'valid'"),
        (lambda: layers.ConvNormAct(4, 3, norm="lair"), "norm is 'lair'; allowed are None, 'batch', 'group'"),
        (lambda: layers.NormAct(norm=None), "needs a normalization"),
        (lambda: layers.ConvNormAct(4, 3, activation="rely"), "rely"),
        (lambda: layers.ConvNormAct(5, 3, groups=2), "groups"),
    ],
)
def test_invalid_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
