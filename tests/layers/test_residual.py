import keras
import numpy as np
import pytest
from support.reference import conv_norm, convolve, normalize, randomized, sigmoid

from pocketzoo import layers

pytestmark = pytest.mark.fast


def identity(x: np.ndarray) -> np.ndarray:
    return x


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def test_residual_block_adds_its_input(x):
    block = randomized(layers.ResidualBlock(3, 4), x)
    residual = conv_norm(conv_norm(x, block.conv1), block.conv2, identity)
    np.testing.assert_allclose(block(x), relu(residual + x), rtol=1e-4, atol=1e-5)


def test_padded_shortcut_subsamples_and_adds_zero_channels(x):
    block = randomized(layers.ResidualBlock(6, 4, strides=2, shortcut="pad", pad_channels=(1, 2)), x)
    residual = conv_norm(conv_norm(x, block.conv1), block.conv2, identity)
    shortcut = np.pad(x[:, ::2, ::2], [(0, 0), (0, 0), (0, 0), (1, 2)])
    np.testing.assert_allclose(block(x), relu(residual + shortcut), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("stride_at", [1, 2])
def test_bottleneck_has_its_stride_at_the_requested_convolution(x, stride_at):
    block = randomized(
        layers.Bottleneck(6, 4, strides=2, stride_at=stride_at, groups=2, padding=1, shortcut="projection"), x
    )
    assert [block.conv1.strides, block.conv2.strides] == ([2, 1] if stride_at == 1 else [1, 2])
    residual = conv_norm(conv_norm(conv_norm(x, block.conv1), block.conv2), block.conv3, identity)
    shortcut = conv_norm(x, block.shortcut_layers[0], identity)
    np.testing.assert_allclose(block(x), relu(residual + shortcut), rtol=1e-4, atol=1e-5)


def test_pre_activation_normalizes_first_and_adds_the_raw_input(x):
    block = randomized(layers.ResidualBlock(3, 4, pre_activation=True), x)
    start = relu(normalize(x, block.pre_layers[0].normalization))
    residual = convolve(conv_norm(start, block.conv1), block.conv2.conv.kernel.numpy()) + block.conv2.conv.bias.numpy()
    np.testing.assert_allclose(block(x), residual + x, rtol=1e-4, atol=1e-5)


def test_projection_of_a_pre_activation_block_starts_at_the_activated_input(x):
    block = randomized(layers.Bottleneck(5, 4, pre_activation=True, shortcut="projection"), x)
    start = relu(normalize(x, block.pre_layers[0].normalization))
    inner = conv_norm(conv_norm(start, block.conv1), block.conv2)
    residual, shortcut = (
        convolve(before, unit.conv.kernel.numpy()) + unit.conv.bias.numpy()
        for before, unit in ((inner, block.conv3), (start, block.shortcut_layers[0]))
    )
    np.testing.assert_allclose(block(x), residual + shortcut, rtol=1e-4, atol=1e-4)


def test_stochastic_depth_drops_whole_branches_only_in_training(x):
    keras.utils.set_random_seed(0)
    x = np.repeat(np.abs(x), 20, axis=0)
    block = randomized(layers.ResidualBlock(3, 4, stochastic_depth=0.5, norm="layer"), x)
    plain = np.abs(block(x, training=False).numpy() - x).reshape(len(x), -1)
    dropped = np.abs(block(x, training=True).numpy() - x).reshape(len(x), -1)
    assert (plain.max(axis=1) > 1e-3).all()
    left_out = dropped.max(axis=1) == 0
    assert 0.2 < left_out.mean() < 0.8


def test_squeeze_excite_weights_channels_by_their_means(x):
    layer = randomized(layers.SqueezeExcite(3, 2), x)
    reduce, expand = layer.reduce.conv, layer.expand.conv
    hidden = relu(x.mean((1, 2)) @ reduce.kernel.numpy()[0, 0] + reduce.bias.numpy())
    weights = sigmoid(hidden @ expand.kernel.numpy()[0, 0] + expand.bias.numpy())
    np.testing.assert_allclose(layer(x), x * weights[:, None, None], rtol=1e-4, atol=1e-5)


def test_cbam_weights_channels_then_pixels(x):
    layer = randomized(layers.CBAM(3, 2, kernel_size=3), x)
    reduce, expand = layer.channels.reduce.conv, layer.channels.expand.conv

    def scores(pooled):
        hidden = relu(pooled @ reduce.kernel.numpy()[0, 0] + reduce.bias.numpy())
        return hidden @ expand.kernel.numpy()[0, 0] + expand.bias.numpy()

    after_channels = x * sigmoid(scores(x.mean((1, 2))) + scores(x.max((1, 2))))[:, None, None]
    pooled = np.concatenate([after_channels.mean(-1, keepdims=True), after_channels.max(-1, keepdims=True)], axis=-1)
    expected = after_channels * conv_norm(pooled, layer.places.conv, sigmoid)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-5)


def test_attention_has_the_norm_of_its_block():
    norm = {"name": "batch", "epsilon": 1e-5}
    block = layers.ResidualBlock(3, 4, attention="cbam", squeeze_filters=2, norm=norm)
    assert block.residual_layers[-1].places.conv.normalization.epsilon == 1e-5


def test_dense_block_concatenates_all_earlier_outputs(x):
    block = randomized(layers.DenseBlock([2, 3], [4, 5]), x)
    expected = x
    for pre, conv1, conv2 in zip(block.pres, block.convs1, block.convs2, strict=True):
        inner = conv_norm(relu(normalize(expected, pre.normalization)), conv1)
        expected = np.concatenate([expected, convolve(inner, conv2.conv.kernel.numpy())], axis=-1)
    np.testing.assert_allclose(block(x), expected, rtol=1e-4, atol=1e-4)


def test_transition_halves_the_map(x):
    layer = randomized(layers.Transition(2), x)
    mixed = convolve(relu(normalize(x, layer.pre.normalization)), layer.conv.conv.kernel.numpy())[:, :6, :4]
    expected = mixed.reshape(2, 3, 2, 2, 2, 2).mean((2, 4))
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: layers.ResidualBlock(8, 4)(x), "use 'projection'"),
        (lambda x: layers.ResidualBlock(4, 4, shortcut="skip"), "allowed are 'identity', 'projection', 'subsample'"),
        (lambda x: layers.Bottleneck(4, 4, stride_at=3), "stride_at is 3; allowed are 1 and 2"),
        (lambda x: layers.Bottleneck(4, 4, attention="eca"), "attention is 'eca'; allowed are None, 'se' and 'cbam'"),
        (lambda x: layers.ResidualBlock(3, 4, attention="se"), "attention is 'se', which needs squeeze_filters"),
        (lambda x: layers.DenseBlock([2], [4, 4]), "1 growths, 2 bottlenecks"),
    ],
)
def test_invalid_arguments_are_refused(x, make, message):
    with pytest.raises(ValueError, match=message):
        make(x)
