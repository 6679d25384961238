"""ASPP and decoder blocks compared with their formulas."""

import numpy as np
import pytest
from support.reference import conv_norm, convolve, normalize, randomized

from pocketzoo import layers

pytestmark = pytest.mark.fast


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def upsample(x: np.ndarray) -> np.ndarray:
    """2x bilinear upsampling with half-pixel centers: 1/4 of one neighbor plus 3/4 of the other."""
    for axis in (1, 2):
        x = np.moveaxis(x, axis, 0)
        before = np.concatenate([x[:1], x[:-1]])
        after = np.concatenate([x[1:], x[-1:]])
        x = np.stack([0.25 * before + 0.75 * x, 0.75 * x + 0.25 * after], axis=1).reshape(-1, *x.shape[1:])
        x = np.moveaxis(x, 0, axis)
    return x


def test_aspp_is_the_papers_concatenation_and_projection(x):
    layer = randomized(layers.ASPP(4, [2, 3, 5], 6, [1, 2], dropout=0.5), x)
    branches = [conv_norm(x, branch) for branch in layer.branches]
    pooled = conv_norm(x.mean(axis=(1, 2), keepdims=True), layer.pooled)
    pooled = np.broadcast_to(pooled, (*x.shape[:3], 6))  # upsampling of a single pixel
    kernel = np.concatenate([layer.project.conv.kernel, layer.project_pooled.conv.kernel], axis=2)
    expected = relu(normalize(convolve(np.concatenate([*branches, pooled], axis=-1), kernel), layer.after[0]))
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4)


def test_aspp_has_dropout_only_in_training(x):
    layer = randomized(layers.ASPP(4, [2, 3], 6, [2], dropout=0.5, activation="sigmoid"), x)
    assert np.mean(layer(x, training=True).numpy() == 0) > 0.25
    assert np.mean(layer(x, training=False).numpy() == 0) == 0


def test_aspp_without_norm_has_one_bias_for_each_convolution(x):
    layer = randomized(layers.ASPP(4, [2, 3], 6, [2], norm=None), x)
    biases = [weight for weight in layer.weights if weight.name == "bias"]
    assert len(layer.weights) == 5 + len(biases)
    assert [bias.shape[0] for bias in biases] == [2, 3, 4, 6]


@pytest.mark.parametrize("arguments", [([2, 3], [1, 2]), ([2], [])])
def test_aspp_needs_a_width_for_each_branch(arguments):
    widths, rates = arguments
    with pytest.raises(ValueError, match=f"{len(widths)} branch_filters for {len(rates)} rates"):
        layers.ASPP(4, widths, 6, rates)


def random_maps(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    random = np.random.default_rng(2)
    return [random.normal(size=shape).astype("float32") for shape in shapes]


def built(layer: layers.UpBlock, *maps: np.ndarray) -> layers.UpBlock:
    layer.build([x.shape for x in maps] if len(maps) > 1 else maps[0].shape)
    random = np.random.default_rng(1)
    layer.set_weights([random.uniform(0.2, 1.0, weight.shape) for weight in layer.get_weights()])
    return layer


def test_up_block_of_the_paper_matches_numpy():
    deep, skip = random_maps((2, 4, 5, 6), (2, 12, 13, 3))
    layer = built(layers.UpBlock(4, 5, up_filters=3, padding="valid", norm=None), deep, skip)
    (transpose,) = layer.enlarge
    x = np.einsum("nhwi,abci->nhawbc", deep, transpose.kernel.numpy()).reshape(2, 8, 10, 3) + transpose.bias.numpy()
    x = np.concatenate([x, skip[:, 2:10, 1:11]], axis=-1)  # one more column is cropped on the right than on the left
    for unit in (layer.conv1, layer.conv2):
        x = relu(convolve(x, unit.conv.kernel.numpy(), padding="valid") + unit.conv.bias.numpy())
    np.testing.assert_allclose(layer([deep, skip]), x, rtol=1e-4, atol=1e-4)


def test_resizing_up_block_matches_numpy():
    deep, skip = random_maps((2, 4, 5, 6), (2, 7, 11, 3))
    layer = built(layers.UpBlock(4, 5, up="resize", up_filters=3), deep, skip)
    x = conv_norm(upsample(deep), layer.enlarge[1])
    x = np.pad(x[:, :7], [(0, 0), (0, 0), (0, 1), (0, 0)])  # a row too many, a column too few
    x = conv_norm(conv_norm(np.concatenate([x, skip], axis=-1), layer.conv1), layer.conv2)
    assert x.shape == (2, 7, 11, 4)
    np.testing.assert_allclose(layer([deep, skip]), x, rtol=1e-4, atol=1e-4)


def test_up_block_without_a_skip_only_upsamples():
    (deep,) = random_maps((2, 4, 5, 6))
    layer = built(layers.UpBlock(4, 5, up="resize"), deep)
    expected = conv_norm(conv_norm(upsample(deep), layer.conv1), layer.conv2)
    np.testing.assert_allclose(layer(deep), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_output_shape_is_known_before_the_up_block_is_built(padding):
    shapes = [(2, 4, 5, 6), (2, 9, 9, 3)]
    layer = layers.UpBlock(4, 5, up_filters=3, padding=padding)
    announced = layer.compute_output_shape(shapes)
    assert announced == layer(random_maps(*shapes)).shape


def test_up_block_accepts_variable_sizes_if_its_convolutions_are_padded():
    shapes = [(None, None, None, 6), (None, None, None, 3)]
    layer = layers.UpBlock(4, 5, up="resize")
    layer.build(shapes)
    assert layer.compute_output_shape(shapes) == (None, None, None, 4)
    assert layer(random_maps((1, 3, 4, 6), (1, 6, 8, 3))).shape == (1, 6, 8, 4)
    with pytest.raises(ValueError, match="padding='valid' needs a fixed height and width"):
        layers.UpBlock(4, 5, up="resize", padding="valid").build(shapes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"up": "nearest"}, "up is 'nearest'; allowed are"),
        ({"up": "transpose"}, "up_filters is None"),
        ({"up": "resize", "padding": 1}, "padding is 1; allowed are"),
    ],
)
def test_up_block_refuses_invalid_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        layers.UpBlock(4, 5, **arguments)
