"""Pooling and local response normalization compared with their formulas."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.reference import pad, windows

from pocketzoo import layers, zoo

pytestmark = pytest.mark.fast


@pytest.mark.parametrize(
    "arguments", [{}, {"depth_radius": 1, "bias": 0.7, "alpha": 0.3, "beta": 0.5}, {"depth_radius": 4, "alpha": 0.2}]
)
def test_local_response_normalization_matches_tensorflow(x, arguments):
    x = np.concatenate([x, 2 * x], axis=-1)
    usual = {"depth_radius": 2, "bias": 2.0, "alpha": 1e-4, "beta": 0.75}
    expected = tf.nn.local_response_normalization(x, **usual | arguments)
    np.testing.assert_allclose(layers.LocalResponseNormalization(**arguments)(x), expected, rtol=1e-5)


def test_local_response_normalization_of_raw_pixels_is_finite_in_float16():
    pixels = np.full((1, 2, 2, 8), 255.0, "float32")
    output = layers.LocalResponseNormalization(dtype="mixed_float16")(pixels)
    np.testing.assert_allclose(output, tf.nn.local_response_normalization(pixels, 2, 2.0, 1e-4, 0.75), rtol=5e-3)


@pytest.mark.parametrize(("argument", "value"), [("depth_radius", 0), ("bias", 0.0)])
def test_local_response_normalization_refuses_invalid_arguments(argument, value):
    with pytest.raises(ValueError, match=f"{argument} is {value}"):
        layers.LocalResponseNormalization(**{argument: value})


def test_zero_padded_average_pool_counts_the_zeros(x):
    expected = windows(pad(x, 3, 2, 1), 3, 2).mean(axis=(3, 4))
    np.testing.assert_allclose(layers.ZeroPaddedAveragePool2D(3, strides=2, padding=1)(x), expected, rtol=1e-5)


def test_l2_pool_is_the_root_of_the_mean_square(x):
    expected = np.sqrt((windows(x, 3, 2) ** 2).mean(axis=(3, 4)))
    np.testing.assert_allclose(layers.L2Pool2D(3, strides=2)(x), expected, rtol=1e-5)


def test_l2_pool_does_not_count_padding(x):
    output = layers.L2Pool2D(2, padding="same")(x)
    assert output.shape == (2, 4, 3, 3)
    np.testing.assert_allclose(output[:, -1, -1], np.abs(x[:, -1, -1]), rtol=1e-5)
    np.testing.assert_allclose(output[:, -1, 0], np.sqrt((x[:, -1, :2] ** 2).mean(axis=1)), rtol=1e-5)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_l2_pool_has_a_finite_gradient_at_zero(policy):
    x = tf.zeros((1, 4, 4, 1))
    with tf.GradientTape() as tape:
        tape.watch(x)
        output = layers.L2Pool2D(2, dtype=policy)(x)
    assert np.all(output.numpy() == 0)
    assert np.all(tape.gradient(output, x).numpy() == 0)


def pyramid(x: np.ndarray, bins: list[int]) -> np.ndarray:
    """Maxima by slicing: `n` windows of equal size with stride `floor(side / n)`, the last up to the edge."""
    levels = []
    for n in bins:
        height, width = x.shape[1] // n, x.shape[2] // n
        tall, wide = x.shape[1] - (n - 1) * height, x.shape[2] - (n - 1) * width
        for i in range(n):
            for j in range(n):
                top, left = i * height, j * width
                levels.append(x[:, top : top + tall, left : left + wide].max(axis=(1, 2)))
    return np.concatenate(levels, axis=-1)


@pytest.mark.parametrize("size", [(6, 6), (13, 13), (10, 10), (7, 17), (24, 11)])
def test_pyramid_matches_numpy(size):
    x = np.random.default_rng(0).normal(size=(2, *size, 3)).astype("float32")
    output = layers.SpatialPyramidPooling2D()(x)
    assert output.shape == (2, 3 * 50)
    np.testing.assert_array_equal(output, pyramid(x, [6, 3, 2, 1]))


@pytest.mark.parametrize(("side", "n"), [(13, 3), (13, 2), (13, 1), (10, 3), (10, 2), (13, 6)])
def test_windows_match_the_paper_where_it_gives_the_same_number_of_bins(side, n):
    """Section 2.3: window `ceil(a / n)`, stride `floor(a / n)`; with 13 and 10 pixels in the paper."""
    layer = layers.SpatialPyramidPooling2D([n])
    layer.build((None, side, side, 1))
    (pool,) = layer.pools
    assert pool.strides == (side // n,) * 2
    assert pool.pool_size == (-(-side // n),) * 2


def test_pyramid_covers_the_map_where_the_papers_windows_do_not():
    x = np.zeros((1, 11, 11, 1), "float32")
    x[0, -1, -1, 0] = 1
    # 6 windows of ceil(11 / 6) = 2 pixels with stride 1 would end at the seventh pixel.
    assert layers.SpatialPyramidPooling2D([6])(x).numpy().reshape(6, 6)[-1, -1] == 1


def test_flattened_pyramid_has_one_pooling_layer_per_level():
    image = keras.Input((13, 9, 2))
    flat = zoo.flatten_model(keras.Model(image, layers.SpatialPyramidPooling2D(name="pyramid")(image)))
    kinds = [type(layer).__name__ for layer in flat.layers]
    assert sorted(kinds) == ["Concatenate", *["Flatten"] * 4, "InputLayer", *["MaxPooling2D"] * 4]


@pytest.mark.parametrize("shape", [(None, None, None, 3), (1, 5, 9, 3)])
def test_pyramid_refuses_a_feature_map_that_is_too_small(shape):
    with pytest.raises(
        ValueError, match="fixed height and width" if shape[1] is None else r"\(5, 9\), too small for 6"
    ):
        layers.SpatialPyramidPooling2D(name="pyramid").build(shape)
    with pytest.raises(ValueError, match="bins is"):
        layers.SpatialPyramidPooling2D([])


@pytest.mark.parametrize("value", [300.0, 6e4])
def test_l2_pool_of_large_values_is_finite_in_float16(value):
    x = np.full((1, 4, 4, 2), value, "float16")
    np.testing.assert_allclose(layers.L2Pool2D(2, dtype="mixed_float16")(x), x[:, :2, :2], rtol=1e-3)


@pytest.mark.parametrize(("value", "alpha"), [(300.0, 1.0), (3e4, 1e-4)])
def test_local_response_of_large_values_matches_in_float16(value, alpha):
    x = np.full((1, 2, 2, 8), value, "float16")
    half = layers.LocalResponseNormalization(alpha=alpha, dtype="mixed_float16")(x)
    np.testing.assert_allclose(half, layers.LocalResponseNormalization(alpha=alpha)(x.astype("float32")), rtol=1e-3)


def test_local_response_refuses_a_negative_weight():
    with pytest.raises(ValueError, match=r"alpha is -1\.0; it must be 0 or more"):
        layers.LocalResponseNormalization(alpha=-1.0)
