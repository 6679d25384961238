import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketzoo.training.augmentation.augmenter import augmenter
from pocketzoo.training.augmentation.draws import Draws, draw
from pocketzoo.training.augmentation.geometry import affine, crop, cut_out, flip, resample, turned
from pocketzoo.training.recipe.augmentation import Crop, Flip, Rotate, Shear, Translate, Zoom

HEIGHT, WIDTH = 24, 32


def one(value: float) -> tf.Tensor:
    return tf.constant([value], tf.float64)


def seeds(count: int) -> tf.Tensor:
    return tf.stack([tf.fill((count,), tf.constant(7, tf.int64)), tf.range(count, dtype=tf.int64)], axis=1)


def places(count: int) -> np.ndarray:
    """Images that say of each pixel where it was: x and y in pixels from the centre, and the distance to the edge."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype("float32")
    return np.stack([np.stack([x - (WIDTH - 1) / 2, y - (HEIGHT - 1) / 2, 0 * x], axis=-1)] * count)


def augmented(step, images: np.ndarray) -> np.ndarray:
    return augmenter((step,))(tf.constant(images), {}, seeds(len(images)))[0].numpy()


def test_a_shift_by_whole_pixels_and_a_quarter_turn_are_exact(pixels):
    images = pixels(1, 9, 9, 3)
    shifted = resample(images, affine(x=one(2), y=one(-1)), "bilinear")
    np.testing.assert_array_equal(shifted[0, 1:, :-2], images[0, :-1, 2:])
    turned_image = resample(images, turned(one(math.pi / 2)), "bilinear")
    np.testing.assert_allclose(turned_image[0], np.rot90(images[0]), atol=1e-3)


def test_several_transformations_are_as_one_after_another():
    images = places(1)
    first, second = turned(one(0.2)), affine(x_from_x=one(0.5), y_from_y=one(0.6), x=one(3))
    both = resample(images, first @ second, "bilinear")
    in_turn = resample(resample(images, first, "bilinear"), second, "bilinear")
    np.testing.assert_allclose(both, in_turn, atol=1e-3)
    other_order = resample(images, second @ first, "bilinear")
    assert np.abs(both - other_order).max() > 0.5


def test_what_stays_inside_is_cut_out_as_it_would_be_resampled(pixels):
    draws = Draws(draw(seeds(40), 1)[0])
    matrices = crop(Crop(smallest=0.2), draws, (HEIGHT, WIDTH)) @ flip(Flip(), draws, (HEIGHT, WIDTH))
    images = tf.constant(pixels(40, HEIGHT, WIDTH, 3))
    np.testing.assert_allclose(cut_out(images, matrices, "bilinear"), resample(images, matrices, "bilinear"), atol=0.05)
    masks = tf.cast(images[..., :1], tf.int32)
    cut, resampled = (move(masks, matrices, "nearest").numpy() for move in (cut_out, resample))
    assert cut.dtype == "int32"
    assert (cut == resampled).mean() > 0.999  # but for places half-way between two pixels


@pytest.mark.parametrize(
    ("mode", "corners"),
    [("horizontal", 2), ("vertical", 2), ("horizontal_and_vertical", 4)],
)
def test_flip_mirrors_half_of_the_images_exactly(mode, corners):
    images = places(200)
    flipped = augmented(Flip(mode=mode), images)
    np.testing.assert_array_equal(np.abs(flipped), np.abs(images))
    signs, counts = np.unique(np.sign(flipped[:, 0, 0, :2]), axis=0, return_counts=True)
    assert len(signs) == corners
    assert counts.min() > 0.7 * 200 / corners


def test_crop_shows_a_part_of_the_asked_size_from_anywhere():
    shown = augmented(Crop(smallest=0.3), places(300))
    # From the innermost pixels, which no edge can have touched, to the whole width and height.
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
def test_a_shift_stays_within_its_share(largest):
    shown = augmented(Translate(height=largest, width=0), places(20))
    moved = shown[:, HEIGHT // 2, WIDTH // 2] - places(1)[0, HEIGHT // 2, WIDTH // 2]
    assert np.abs(moved[:, 1]).max() <= largest * HEIGHT + 1e-3
    np.testing.assert_allclose(moved[:, 0], 0, atol=1e-4)


def test_turns_zooms_and_slants_stay_within_theirs_and_keep_the_centre():
    def steps(step) -> tuple[np.ndarray, np.ndarray]:
        """What one pixel to the right, and one pixel down, were before."""
        shown = augmented(step, places(200))[:, :, :, :2]
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
