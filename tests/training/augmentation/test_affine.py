import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketzoo.training.augmentation.affine import affine_matrix, crop, crop_and_resize, flip, resample, rotation_matrix
from pocketzoo.training.augmentation.augmenter import make_augmenter
from pocketzoo.training.augmentation.random_stream import RandomStream, random_numbers
from pocketzoo.training.recipe.augmentation import Crop, Flip, Rotate, Shear, Translate, Zoom

HEIGHT, WIDTH = 24, 32


def one(value: float) -> tf.Tensor:
    return tf.constant([value], tf.float64)


def seeds(count: int) -> tf.Tensor:
    return tf.stack([tf.fill((count,), tf.constant(7, tf.int64)), tf.range(count, dtype=tf.int64)], axis=1)


def positions(count: int) -> np.ndarray:
    """Images whose channels are the position of each pixel: x and y in pixels from the center, and 0."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype("float32")
    return np.stack([np.stack([x - (WIDTH - 1) / 2, y - (HEIGHT - 1) / 2, 0 * x], axis=-1)] * count)


def augmented(step, images: np.ndarray) -> np.ndarray:
    return make_augmenter((step,))(tf.constant(images), {}, seeds(len(images)))[0].numpy()


def test_integer_shift_and_quarter_turn_are_exact(pixels):
    images = pixels(1, 9, 9, 3)
    shifted = resample(images, affine_matrix(x=one(2), y=one(-1)), "bilinear")
    np.testing.assert_array_equal(shifted[0, 1:, :-2], images[0, :-1, 2:])
    turned_image = resample(images, rotation_matrix(one(math.pi / 2)), "bilinear")
    np.testing.assert_allclose(turned_image[0], np.rot90(images[0]), atol=1e-3)


def test_combined_matrices_equal_transformations_in_sequence():
    images = positions(1)
    first, second = rotation_matrix(one(0.2)), affine_matrix(x_from_x=one(0.5), y_from_y=one(0.6), x=one(3))
    both = resample(images, first @ second, "bilinear")
    in_turn = resample(resample(images, first, "bilinear"), second, "bilinear")
    np.testing.assert_allclose(both, in_turn, atol=1e-3)
    other_order = resample(images, second @ first, "bilinear")
    assert np.abs(both - other_order).max() > 0.5


def test_crop_and_resize_equals_resample(pixels):
    stream = RandomStream(random_numbers(seeds(40), 1)[0])
    matrices = crop(Crop(smallest=0.2), stream, (HEIGHT, WIDTH)) @ flip(Flip(), stream, (HEIGHT, WIDTH))
    images = tf.constant(pixels(40, HEIGHT, WIDTH, 3))
    np.testing.assert_allclose(
        crop_and_resize(images, matrices, "bilinear"), resample(images, matrices, "bilinear"), atol=0.05
    )
    masks = tf.cast(images[..., :1], tf.int32)
    cropped, resampled = (move(masks, matrices, "nearest").numpy() for move in (crop_and_resize, resample))
    assert cropped.dtype == "int32"
    assert (cropped == resampled).mean() > 0.999  # except halfway between two pixels


@pytest.mark.parametrize(
    ("mode", "corners"),
    [("horizontal", 2), ("vertical", 2), ("horizontal_and_vertical", 4)],
)
def test_flip_mirrors_half_of_the_images_exactly(mode, corners):
    images = positions(200)
    flipped = augmented(Flip(mode=mode), images)
    np.testing.assert_array_equal(np.abs(flipped), np.abs(images))
    signs, counts = np.unique(np.sign(flipped[:, 0, 0, :2]), axis=0, return_counts=True)
    assert len(signs) == corners
    assert counts.min() > 0.7 * 200 / corners


def test_crops_have_the_configured_size_at_any_position():
    shown = augmented(Crop(smallest=0.3), positions(300))
    # The innermost pixels, which no edge affects, extrapolated to the whole width and height.
    across = (shown[:, 12, 20, 0] - shown[:, 12, 11, 0]) / 9
    down = (shown[:, 16, 16, 1] - shown[:, 7, 16, 1]) / 9
    area, aspect = across * down, across / down
    assert area.min() >= 0.3 - 1e-3
    assert area.max() <= 1 + 1e-3
    assert area.min() < 0.35
    assert 0.74 < aspect.min() < 0.8
    assert 1.25 < aspect.max() < 1.34
    assert np.abs(shown[..., 0]).max() <= (WIDTH - 1) / 2  # nothing from outside
    assert shown[:, :, 0, 0].std() > 1


@given(largest=st.floats(0.0, 1.0))
@settings(max_examples=10, deadline=None)
def test_translation_stays_within_its_share(largest):
    shown = augmented(Translate(height=largest, width=0), positions(20))
    moved = shown[:, HEIGHT // 2, WIDTH // 2] - positions(1)[0, HEIGHT // 2, WIDTH // 2]
    assert np.abs(moved[:, 1]).max() <= largest * HEIGHT + 1e-3
    np.testing.assert_allclose(moved[:, 0], 0, atol=1e-4)


def test_rotation_zoom_and_shear_stay_within_range_and_keep_the_center():
    def steps(step) -> tuple[np.ndarray, np.ndarray]:
        """Return the offsets in the input of one pixel to the right, and of one pixel down."""
        shown = augmented(step, positions(200))[:, :, :, :2]
        np.testing.assert_allclose(shown[:, 11:13, 15:17].mean(axis=(1, 2)), 0, atol=1e-3)
        return shown[:, 12, 16] - shown[:, 12, 15], shown[:, 12, 16] - shown[:, 11, 16]

    right, down = steps(Rotate(degrees=20))
    angles = np.degrees(np.arctan2(right[:, 1], right[:, 0]))
    assert 18 < np.abs(angles).max() <= 20.01
    np.testing.assert_allclose(np.linalg.norm(down, axis=1), 1, atol=1e-3)

    right, down = steps(Zoom(factor=0.25))
    assert 1.28 < right[:, 0].max() <= 1 / 0.75 + 1e-3
    assert 0.8 - 1e-3 <= right[:, 0].min() < 0.83
    np.testing.assert_allclose(right[:, 0], down[:, 1], atol=1e-3)

    right, down = steps(Shear(factor=0.2))
    assert 0.18 < np.abs(right[:, 1]).max() <= 0.2 + 1e-3
    assert 0.18 < np.abs(down[:, 0]).max() <= 0.2 + 1e-3
