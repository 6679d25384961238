import keras
import numpy as np
import pytest
from support.reference import conv_norm, convolve, depthwise, normalize, randomized, sigmoid

from pocketzoo import layers, zoo
from pocketzoo.zoo.mobilenet_v2 import make_divisible

pytestmark = pytest.mark.fast


def identity(x: np.ndarray) -> np.ndarray:
    return x


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def relu6(x: np.ndarray) -> np.ndarray:
    return np.clip(x, 0, 6)


def swish(x: np.ndarray) -> np.ndarray:
    return x * sigmoid(x)


def hard_sigmoid(x: np.ndarray) -> np.ndarray:
    return relu6(x + 3) / 6


def hard_swish(x: np.ndarray) -> np.ndarray:
    return x * hard_sigmoid(x)


def depthwise_norm(x: np.ndarray, unit: layers.DepthwiseConvNormAct, activation) -> np.ndarray:
    return activation(normalize(depthwise(x, unit.conv.kernel.numpy(), unit.strides), unit.normalization))


def squeeze_excite(x: np.ndarray, layer: layers.SqueezeExcite, activation, gate) -> np.ndarray:
    reduce, expand = layer.reduce.conv, layer.expand.conv
    hidden = activation(x.mean((1, 2)) @ reduce.kernel.numpy()[0, 0] + reduce.bias.numpy())
    return x * gate(hidden @ expand.kernel.numpy()[0, 0] + expand.bias.numpy())[:, None, None]


def test_inverted_residual_of_mobilenet_v2(x):
    block = randomized(layers.InvertedResidual(3, expanded_filters=6, shortcut=True), x)
    inner = depthwise_norm(conv_norm(x, block.expand, relu6), block.depthwise, relu6)
    np.testing.assert_allclose(block(x), x + conv_norm(inner, block.project, identity), rtol=1e-4, atol=1e-5)


def test_inverted_residual_without_expansion_begins_with_the_depthwise_convolution(x):
    block = randomized(layers.InvertedResidual(4), x)
    inner = depthwise_norm(x, block.depthwise, relu6)
    np.testing.assert_allclose(block(x), conv_norm(inner, block.project, identity), rtol=1e-4, atol=1e-5)


def test_inverted_residual_of_mobilenet_v3_has_squeeze_excite_after_the_depthwise_activation(x):
    block = layers.InvertedResidual(
        5,
        expanded_filters=8,
        kernel_size=5,
        strides=2,
        squeeze_filters=2,
        gate="hard_sigmoid",
        activation="hard_swish",
    )
    randomized(block, x)
    inner = depthwise_norm(conv_norm(x, block.expand, hard_swish), block.depthwise, hard_swish)
    weighed = squeeze_excite(inner, block.squeeze_excite, relu, hard_sigmoid)
    expected = conv_norm(weighed, block.project, identity)
    assert expected.shape[1:3] == (4, 3)
    np.testing.assert_allclose(block(x), expected, rtol=1e-4, atol=1e-4)


def test_squeeze_excite_of_a_block_without_expansion_is_as_wide_as_its_input(x):
    block = layers.InvertedResidual(3, squeeze_filters=1, squeeze_activation="swish", activation="swish", shortcut=True)
    randomized(block, x)
    assert block.squeeze_excite.filters == x.shape[-1]
    weighed = squeeze_excite(depthwise_norm(x, block.depthwise, swish), block.squeeze_excite, swish, sigmoid)
    np.testing.assert_allclose(block(x), x + conv_norm(weighed, block.project, identity), rtol=1e-4, atol=1e-5)


def test_stochastic_depth_keeps_the_shortcut(x):
    keras.utils.set_random_seed(0)
    x = np.repeat(np.abs(x), 20, axis=0)
    block = randomized(layers.InvertedResidual(3, shortcut=True, stochastic_depth=0.5, norm="layer"), x)
    left_out = (block(x, training=True).numpy() == x).reshape(len(x), -1).all(axis=1)
    assert 0.2 < left_out.mean() < 0.8
    assert not (block(x, training=False).numpy() == x).reshape(len(x), -1).all(axis=1).any()


def test_fire_module_concatenates_both_expansions(x):
    fire = randomized(layers.FireModule(2, 3, 4), x)

    def conv(x, unit):
        return relu(convolve(x, unit.conv.kernel.numpy()) + unit.conv.bias.numpy())

    squeezed = conv(x, fire.squeeze)
    expected = np.concatenate([conv(squeezed, fire.expand1x1), conv(squeezed, fire.expand3x3)], axis=-1)
    assert expected.shape[-1] == 7
    np.testing.assert_allclose(fire(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: layers.InvertedResidual(4, shortcut=True)(x), "shortcut is True, but .* cannot be added"),
        (lambda x: layers.InvertedResidual(3, strides=2, shortcut=True)(x), "shortcut is True, but .* cannot be added"),
        (lambda x: layers.InvertedResidual(3, stochastic_depth=0.1), "without a shortcut it must be 0"),
    ],
)
def test_invalid_arguments_are_refused(x, make, message):
    with pytest.raises(ValueError, match=message):
        make(x)


@pytest.mark.parametrize(
    ("channels", "rounded"), [(1.0, 8), (11.9, 16), (12, 16), (19, 24), (19.9, 24), (20.1, 24), (33, 32), (44.8, 48)]
)
def test_make_divisible_removes_at_most_a_tenth(channels, rounded):
    assert make_divisible(channels) == rounded


@pytest.mark.parametrize("size", [21, 34, 41, 46])
def test_squeezenet_pooling_extends_past_the_edge(size, pixels):
    """As torchvision's `ceil_mode`: the last window is truncated at the edge."""
    images = pixels(1, size, size + 3, 3)
    fixed = zoo.create_model("squeezenet1_0", input_shape=images.shape[1:])
    maps = zoo.feature_extractor(fixed)(images)
    pooled = maps["stem"].numpy()
    for stage in ("stage1", "stage2", "stage3"):
        pooled = ceil_max_pool(pooled)
        for block in [layer for layer in fixed.layers if layer.name.startswith(f"{stage}_block")]:
            pooled = block(pooled).numpy()
        np.testing.assert_array_equal(maps[stage], pooled)
    open_sized = zoo.create_model("squeezenet1_0", input_shape=(None, None, 3))
    open_sized.set_weights(fixed.get_weights())
    np.testing.assert_array_equal(open_sized(images), fixed(images))


def ceil_max_pool(x: np.ndarray) -> np.ndarray:
    """3x3 max pooling with stride 2 over all windows that begin inside the map and cover a new pixel."""
    rows, columns = (-(-(side - 3) // 2) + 1 for side in x.shape[1:3])
    return np.array(
        [[x[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max((1, 2)) for j in range(columns)] for i in range(rows)]
    ).transpose(2, 0, 1, 3)
