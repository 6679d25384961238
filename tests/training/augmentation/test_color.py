import numpy as np
import pytest
import tensorflow as tf

from pocketzoo.training.augmentation.augmenter import make_augmenter
from pocketzoo.training.augmentation.color import adjust_color
from pocketzoo.training.augmentation.rand_augment import GEOMETRIC, PHOTOMETRIC, random_photometry
from pocketzoo.training.augmentation.random_stream import RandomStream, random_numbers
from pocketzoo.training.recipe.augmentation import Color, Erase, RandAugment

LUMA = np.array([0.299, 0.587, 0.114])


def seeds(count: int) -> tf.Tensor:
    return tf.stack([tf.fill((count,), tf.constant(7, tf.int64)), tf.range(count, dtype=tf.int64)], axis=1)


def augmented(step, images: np.ndarray) -> np.ndarray:
    return make_augmenter((step,))(tf.constant(images), {}, seeds(len(images)))[0].numpy()


def adjust(images, **shares) -> np.ndarray:
    return adjust_color(tf.constant(images), **shares).numpy()


@pytest.fixture
def images(pixels):
    """Far enough from 0 and 255 that nothing is clipped."""
    return 100 + pixels(4, 6, 5, 3) / 5


def test_brightness_is_added_and_clipped(images):
    np.testing.assert_allclose(adjust(images, brightness=0.1), images + 25.5, atol=1e-3)
    assert (adjust(images, brightness=1.0) == 255).all()


def test_contrast_scales_the_distance_from_the_mean_luma_of_each_image(images):
    mean = (images @ LUMA).mean(axis=(1, 2))[:, None, None, None]
    np.testing.assert_allclose(adjust(images, contrast=-0.5), (images + mean) / 2, atol=0.5)
    assert np.ptp(adjust(images, contrast=-1.0), axis=(1, 2, 3)).max() < 1e-3


def test_without_saturation_an_image_is_its_luma(images):
    gray = adjust(images, saturation=-1.0)
    np.testing.assert_allclose(gray, np.repeat((images @ LUMA)[..., None], 3, axis=-1), atol=0.1)


def test_hue_rotates_around_the_gray_axis(images):
    third = adjust(images, hue=1 / 3)
    np.testing.assert_allclose(third @ LUMA, images @ LUMA, atol=0.2)
    assert np.abs(third - images).mean() > 5
    np.testing.assert_allclose(adjust(adjust(third, hue=1 / 3), hue=1 / 3), images, atol=0.2)
    red = adjust(np.full((1, 1, 1, 3), (120, 100, 100), "float32"), hue=1 / 3)[0, 0, 0]
    assert np.argmax(red) != 0


def test_every_image_gets_its_own_colors_and_grayscale_images_keep_one_channel(images):
    changed = augmented(Color(), np.repeat(images[:1], 30, axis=0))
    assert len(np.unique(changed[:, 0, 0, 0])) == 30
    assert augmented(Color(), images[..., :1]).shape == (4, 6, 5, 1)


def test_erase_fills_a_rectangle_with_gray_in_half_of_the_images():
    erased = augmented(Erase(largest=0.3), np.zeros((400, 20, 30, 3), "float32"))
    assert set(np.unique(erased)) == {0, 128}
    shares = (erased[..., 0] > 0).mean(axis=(1, 2))
    assert 0.4 < (shares > 0).mean() < 0.6
    assert 0.2 < shares.max() <= 0.33
    for image in erased[shares > 0][:20, ..., 0]:
        rows, columns = np.nonzero(image)
        assert (image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] == 128).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_randaugment_applies_every_operation_of_its_list(channels, pixels):
    options = RandAugment(operations=1, magnitude=0.5)
    image = (40 + pixels(1, 12, 12, 1) / 2).repeat(channels, axis=-1)
    images = tf.constant(image.repeat(300, axis=0))
    augmented_images = tf.function(
        lambda: random_photometry(options, RandomStream(random_numbers(seeds(300), 1)[0]), images)
    )().numpy()
    expected = {
        operation(tf.constant(image), tf.constant([sign * 0.5], tf.float64)).numpy().round(2).tobytes()
        for operation in PHOTOMETRIC
        for sign in (-1, 1)
    }
    assert {picture[None].round(2).tobytes() for picture in augmented_images} == expected
    untouched = (augmented_images == image).all(axis=(1, 2, 3)).mean()
    assert untouched > 0.8 * len(GEOMETRIC) / (len(GEOMETRIC) + len(PHOTOMETRIC))
