"""Inception modules, Inception-ResNet and Xception blocks compared with formulas in NumPy."""

import json

import keras
import numpy as np
import pytest
from support.reference import conv_norm, convolve, depthwise, max_pool, normalize, pad, randomized, windows

from pocketzoo import layers
from pocketzoo.layers.inception_module import average_pool, conv, scale_branches, split
from pocketzoo.layers.inception_module import max_pool as max_pool_step

pytestmark = pytest.mark.fast

SQUARE = [[conv(2, 1)], [conv(4, 1), conv(3, 3)], [average_pool(3), conv(2, 1)], [max_pool_step(3)]]


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def identity(x: np.ndarray) -> np.ndarray:
    return x


def average(x: np.ndarray, size: int) -> np.ndarray:
    """Average pooling with stride 1 that does not count padding."""
    inside = np.ones_like(x)
    total, count = (windows(pad(values, size, 1, "same"), size).sum(axis=(3, 4)) for values in (x, inside))
    return total / count


def square_branches(x: np.ndarray, block: keras.layers.Layer) -> np.ndarray:
    """Output of the branches of SQUARE."""
    (one,), (reduce, three), (_, after_pool), _ = block.chains()
    parts = [
        conv_norm(x, one),
        conv_norm(conv_norm(x, reduce), three),
        conv_norm(average(x, 3), after_pool),
        max_pool(x, 3, padding="same"),
    ]
    return np.concatenate(parts, axis=-1)


def separable(x: np.ndarray, unit: layers.SeparableConvNormAct) -> np.ndarray:
    """Separable convolution with BatchNorm and no activation at inference."""
    inner = depthwise(x, unit.depthwise.conv.kernel.numpy())
    return normalize(convolve(inner, unit.pointwise.conv.kernel.numpy()), unit.pointwise.normalization)


def test_module_concatenates_its_branches(x):
    module = randomized(layers.InceptionModule(SQUARE), x)
    np.testing.assert_allclose(module(x), square_branches(x, module), rtol=1e-4, atol=1e-5)


def test_average_pooling_counts_explicit_zero_padding(x):
    module = randomized(layers.InceptionModule([[average_pool(3, padding=1), conv(2, 1)]]), x)
    mean = windows(pad(x, 3, 1, 1), 3).mean(axis=(3, 4))
    np.testing.assert_allclose(module(x), conv_norm(mean, module.chains()[0][1]), rtol=1e-4, atol=1e-5)


def test_reduction_has_a_stride_in_every_branch(x):
    step = {"strides": 2, "padding": "valid"}
    module = randomized(layers.InceptionModule([[conv(4, 3, **step)], [max_pool_step(3, **step)]]), x)
    expected = [conv_norm(x, module.chains()[0][0]), max_pool(x, 3, 2)]
    np.testing.assert_allclose(module(x), np.concatenate(expected, axis=-1), rtol=1e-4, atol=1e-5)


def test_split_is_a_module_within_a_branch(x):
    inner = [[conv(3, 1)], [conv(2, 3)]]
    module = randomized(layers.InceptionModule([[conv(4, 1), split(*inner)], []]), x)
    first, branches = module.chains()[0]
    start = conv_norm(x, first)
    expected = [conv_norm(start, branches.chains()[0][0]), conv_norm(start, branches.chains()[1][0]), x]
    np.testing.assert_allclose(module(x), np.concatenate(expected, axis=-1), rtol=1e-4, atol=1e-5)


def test_non_square_kernels_are_height_by_width(x):
    module = layers.InceptionModule([[conv(2, (1, 7)), conv(2, (5, 1))]])
    module.build(x.shape)
    assert [unit.conv.kernel.shape[:2] for unit in module.chains()[0]] == [(1, 7), (5, 1)]


def test_sublayers_are_named_after_branch_and_step():
    module = layers.InceptionModule([[average_pool(3), conv(2, 1), split([conv(2, 3)])]], name="stage1_block2")
    assert [part.name for part in module.chains()[0]] == [
        "stage1_block2_branch1_pool1",
        "stage1_block2_branch1_conv2",
        "stage1_block2_branch1_split3",
    ]
    assert module.chains()[0][2].chains()[0][0].name == "stage1_block2_branch1_split3_branch1_conv1"


def test_branches_survive_json_and_can_be_rebuilt_narrower(x):
    module = layers.InceptionModule([[conv(4, (1, 7))], [conv(4, 1), split([conv(6, 3)], [conv(2, 1)])]])
    config = json.loads(json.dumps(module.get_config()))
    assert layers.InceptionModule.from_config(config).get_config() == module.get_config()
    config["branches"] = scale_branches(config["branches"], 0.5)
    assert layers.InceptionModule.from_config(config)(x).shape[-1] == 2 + 3 + 1


@pytest.mark.parametrize("output_activation", ["relu", None])
def test_inception_residual_adds_its_scaled_branches(x, output_activation):
    block = randomized(layers.InceptionResidual(SQUARE, 3, scale=0.17, output_activation=output_activation), x)
    joint = square_branches(x, block)
    residual = convolve(joint, block.expand.conv.kernel.numpy()) + block.expand.conv.bias.numpy()
    act = identity if output_activation is None else relu
    np.testing.assert_allclose(block(x), act(x + 0.17 * residual), rtol=1e-4, atol=1e-4)


def test_xception_block_activates_before_each_convolution_and_adds_its_input(x):
    block = randomized(layers.XceptionBlock([4, 3]), x)
    _, first, _, second = block.residual_layers
    expected = separable(relu(separable(relu(x), first)), second) + x
    np.testing.assert_allclose(block(x), expected, rtol=1e-4, atol=1e-4)


def test_xception_entry_block_pools_and_projects_the_raw_input(x):
    block = randomized(layers.XceptionBlock([4, 5], strides=2, shortcut="projection", first_activation=False), x)
    first, _, second, _ = block.residual_layers
    residual = max_pool(separable(relu(separable(x, first)), second), 3, 2, padding="same")
    expected = residual + conv_norm(x, block.shortcut_layers[0], identity)
    np.testing.assert_allclose(block(x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.InceptionModule([]), "branches is empty"),
        (lambda: layers.InceptionModule([[{"kind": "pool"}]]), "'pool'; allowed are 'conv', 'max_pool'"),
        (
            lambda: layers.InceptionModule([[conv(2, 1)], [conv(2, 3, strides=2)]])(np.ones((1, 4, 4, 3))),
            "heights and widths must be equal",
        ),
        (lambda: layers.InceptionResidual([[conv(2, 1)]], 4)(np.ones((1, 4, 4, 3))), "cannot be added to"),
        (lambda: layers.XceptionBlock([]), "filters is empty"),
        (lambda: layers.XceptionBlock([3], shortcut="pad"), "'pad'; allowed are 'identity' and 'projection'"),
        (lambda: layers.XceptionBlock([4])(np.ones((1, 4, 4, 3))), "use 'projection'"),
    ],
)
def test_invalid_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
