"""Every layer: Keras' own layer test, and its numbers against an independent formula."""

import keras
import numpy as np
import pytest
from keras.src import testing

from pocketzoo import layers

CASES = [
    pytest.param(
        layers.PixelNormalization, {"mean": [1.0, 2.0, 3.0], "scale": 0.5}, (2, 6, 6, 3), (2, 6, 6, 3), 0, id="pixels"
    ),
    pytest.param(
        layers.ConvNormAct, {"filters": 4, "kernel_size": 3, "strides": 2}, (2, 6, 6, 3), (2, 3, 3, 4), 3, id="conv"
    ),
    pytest.param(
        layers.ConvNormAct,
        {"filters": 4, "kernel_size": 3, "padding": "valid", "norm": None, "activation": None},
        (2, 6, 6, 3),
        (2, 4, 4, 4),
        2,
        id="conv-bare",
    ),
    pytest.param(layers.ResidualBlock, {"filters": 3, "mid_filters": 5}, (2, 6, 6, 3), (2, 6, 6, 3), 6, id="residual"),
    pytest.param(
        layers.ResidualBlock,
        {"filters": 6, "mid_filters": 5, "strides": 2, "shortcut": "projection"},
        (2, 6, 6, 3),
        (2, 3, 3, 6),
        9,
        id="residual-projection",
    ),
    pytest.param(
        layers.ResidualBlock,
        {"filters": 6, "mid_filters": 5, "strides": 2, "shortcut": "pad", "pad_channels": (1, 2)},
        (2, 7, 7, 3),
        (2, 4, 4, 6),
        6,
        id="residual-pad",
    ),
    pytest.param(
        layers.ClassificationHead, {"classes": 4, "labels": list("abcd")}, (2, 5, 5, 3), (2, 4), 2, id="head-of-map"
    ),
    pytest.param(layers.ClassificationHead, {"classes": 4, "dropout": 0.5}, (2, 3), (2, 4), 2, id="head-of-vector"),
]


@pytest.mark.parametrize(("layer_class", "arguments", "input_shape", "output_shape", "trainable"), CASES)
def test_keras_layer_test(layer_class, arguments, input_shape, output_shape, trainable):
    testing.TestCase().run_layer_test(
        layer_class,
        arguments,
        input_shape=input_shape,
        expected_output_shape=output_shape,
        expected_num_trainable_weights=trainable,
        # The head's probabilities stay float32 whatever the policy, which Keras' check of dtypes does not expect.
        run_mixed_precision_check=layer_class is not layers.ClassificationHead,
        supports_masking=None,
    )


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_head_gives_float32_probabilities_under_mixed_precision(policy):
    head = layers.ClassificationHead(3, dtype=policy)
    symbolic = head(keras.Input((4, 4, 2)))
    assert symbolic.dtype == "float32"
    assert head(np.ones((1, 4, 4, 2))).dtype == "float32"


@pytest.mark.parametrize(("layer_class", "arguments", "input_shape", "output_shape", "trainable"), CASES)
def test_config_rebuilds_the_layer_with_every_argument(layer_class, arguments, input_shape, output_shape, trainable):
    layer = layer_class(**arguments)
    config = layer.get_config()
    assert arguments.keys() <= config.keys()
    assert layer_class.from_config(config).get_config() == config


@pytest.mark.parametrize(("layer_class", "arguments", "input_shape", "output_shape", "trainable"), CASES)
def test_parts_are_named_after_their_layer(layer_class, arguments, input_shape, output_shape, trainable):
    layer = layer_class(**arguments, name="stage3_block2")
    parts = list(layer._flatten_layers(include_self=False))
    assert all(part.name.startswith("stage3_block2_") for part in parts)
    assert len({part.name for part in parts}) == len(parts)


def convolve(x: np.ndarray, kernel: np.ndarray, strides: int = 1) -> np.ndarray:
    """A "same" convolution by its definition: y[i, j] = sum over the window of x * kernel."""
    size = kernel.shape[0]
    outputs = [-(-side // strides) for side in x.shape[1:3]]
    total = [max((out - 1) * strides + size - side, 0) for out, side in zip(outputs, x.shape[1:3], strict=True)]
    x = np.pad(x, [(0, 0), *((t // 2, t - t // 2) for t in total), (0, 0)])
    rows = [
        [
            np.tensordot(x[:, i * strides : i * strides + size, j * strides : j * strides + size], kernel, 3)
            for j in range(outputs[1])
        ]
        for i in range(outputs[0])
    ]
    return np.array(rows).transpose(2, 0, 1, 3)


def normalize(x: np.ndarray, layer: keras.layers.BatchNormalization) -> np.ndarray:
    gamma, beta, mean, variance = (
        w.numpy() for w in (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance)
    )
    return (x - mean) / np.sqrt(variance + layer.epsilon) * gamma + beta


def randomized(layer: keras.layers.Layer, x: np.ndarray) -> keras.layers.Layer:
    layer.build(x.shape)
    random = np.random.default_rng(1)
    layer.set_weights([random.uniform(0.2, 1.0, weight.shape) for weight in layer.get_weights()])
    return layer


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(2, 7, 5, 3)).astype("float32")


def test_pixel_normalization_subtracts_the_mean_then_scales(x):
    layer = layers.PixelNormalization(mean=[1.0, 2.0, 3.0], scale=[0.5, 0.25, 2.0])
    np.testing.assert_allclose(layer(x), (x - [1, 2, 3]) * [0.5, 0.25, 2.0], rtol=1e-5, atol=1e-6)


def test_pixel_normalization_brings_pixels_to_minus_one_to_one_by_default():
    assert layers.PixelNormalization()(np.array([[[[0.0, 255.0]]]])).numpy().ravel().tolist() == [-1.0, 1.0]


def test_pixel_normalization_of_the_wrong_length_is_refused(x):
    with pytest.raises(ValueError, match="2 values of mean for 3 channels"):
        layers.PixelNormalization(mean=[1.0, 2.0])(x)


@pytest.mark.parametrize("strides", [1, 2])
def test_conv_norm_act_is_convolution_normalization_relu(x, strides):
    layer = randomized(layers.ConvNormAct(4, 3, strides=strides), x)
    expected = np.maximum(normalize(convolve(x, layer.conv.kernel.numpy(), strides), layer.batch_norm), 0)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-5)


def test_residual_block_adds_its_input(x):
    block = randomized(layers.ResidualBlock(3, 4), x)
    inner = np.maximum(normalize(convolve(x, block.conv1.conv.kernel.numpy()), block.conv1.batch_norm), 0)
    residual = normalize(convolve(inner, block.conv2.conv.kernel.numpy()), block.conv2.batch_norm)
    np.testing.assert_allclose(block(x), np.maximum(residual + x, 0), rtol=1e-4, atol=1e-5)


def test_padded_shortcut_subsamples_and_adds_zero_channels(x):
    block = randomized(layers.ResidualBlock(6, 4, strides=2, shortcut="pad", pad_channels=(1, 2)), x)
    inner = np.maximum(normalize(convolve(x, block.conv1.conv.kernel.numpy(), 2), block.conv1.batch_norm), 0)
    residual = normalize(convolve(inner, block.conv2.conv.kernel.numpy()), block.conv2.batch_norm)
    shortcut = np.pad(x[:, ::2, ::2], [(0, 0), (0, 0), (0, 0), (1, 2)])
    np.testing.assert_allclose(block(x), np.maximum(residual + shortcut, 0), rtol=1e-4, atol=1e-5)


def test_residual_block_whose_branches_do_not_meet_is_refused(x):
    with pytest.raises(ValueError, match="use 'projection'"):
        layers.ResidualBlock(8, 4)(x)


def test_head_is_the_softmax_of_the_mean_over_the_area(x):
    head = randomized(layers.ClassificationHead(4), x)
    logits = x.mean(axis=(1, 2)) @ head.dense.kernel.numpy() + head.dense.bias.numpy()
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    np.testing.assert_allclose(head(x), exponentials / exponentials.sum(axis=-1, keepdims=True), rtol=1e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.ConvNormAct(4, 3, norm="layer"), "allowed are 'batch' and None"),
        (lambda: layers.ResidualBlock(4, 4, shortcut="skip"), "allowed are 'identity', 'pad' and 'projection'"),
        (lambda: layers.ClassificationHead(3, labels=["a"]), "1 labels for 3 classes"),
    ],
)
def test_impossible_arguments_say_what_is_allowed(make, message):
    with pytest.raises(ValueError, match=message):
        make()
