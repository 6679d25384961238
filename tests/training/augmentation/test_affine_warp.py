"""Targets that follow the images: maps of another size, and points."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketzoo.training.augmentation.affine import AffineWarp, affine_matrix, crop_and_resize, resample, rotation_matrix

pytestmark = pytest.mark.fast

HEIGHT, WIDTH = 24, 32


def image_of(x, y, scale=1):
    """A bright blob around a point, whose position is in shares of width and height."""
    rows, columns = np.mgrid[: HEIGHT * scale, : WIDTH * scale]
    down, across = (rows + 0.5) / (HEIGHT * scale) - y, (columns + 0.5) / (WIDTH * scale) - x
    return np.exp(-((down * HEIGHT) ** 2 + (across * WIDTH) ** 2) / 8).astype("float32")[np.newaxis, ..., np.newaxis]


def center_of(image):
    weights = image[0, ..., 0] / image.sum()
    rows, columns = np.mgrid[: image.shape[1], : image.shape[2]]
    return (weights * (columns + 0.5)).sum() / image.shape[2], (weights * (rows + 0.5)).sum() / image.shape[1]


def some_matrix(shift, angle, mirror):
    one = tf.ones(1, tf.float64)
    moved = affine_matrix(x_from_x=-one if mirror else one, x=shift * one, y=-shift * one)
    return moved @ rotation_matrix(angle * one)


@settings(max_examples=25, deadline=None)
@given(
    x=st.floats(0.4, 0.6),
    y=st.floats(0.4, 0.6),
    shift=st.floats(-3, 3),
    angle=st.floats(-0.6, 0.6),
    mirror=st.booleans(),
)
def test_points_move_as_the_images_do(x, y, shift, angle, mirror):
    warp = AffineWarp(resample, some_matrix(shift, angle, mirror), (HEIGHT, WIDTH))
    moved = warp(tf.constant(image_of(x, y)), "bilinear").numpy()
    points = warp.points(tf.constant([[[x, y]]], tf.float32)).numpy()
    np.testing.assert_allclose(points[0, 0], center_of(moved), atol=0.012)
    assert warp.mirrored().numpy().tolist() == [mirror]


@pytest.mark.parametrize("scale", [2, 3])
@pytest.mark.parametrize("move", [resample, crop_and_resize])
def test_larger_maps_move_as_the_images_do(scale, move):
    matrix = affine_matrix(x_from_x=0.8 * tf.ones(1, tf.float64), y_from_y=0.8, x=2.0, y=-1.5)
    warp = AffineWarp(move, matrix, (HEIGHT, WIDTH))
    centers = [center_of(warp(tf.constant(image_of(0.5, 0.45, s)), "bilinear").numpy()) for s in (1, scale)]
    np.testing.assert_allclose(*centers, atol=0.01)
