import keras
import numpy as np
import pytest

from pocketzoo import layers

pytestmark = pytest.mark.fast


def test_pixel_normalization_subtracts_the_mean_then_scales(x):
    layer = layers.PixelNormalization(mean=[1.0, 2.0, 3.0], scale=[0.5, 0.25, 2.0])
    np.testing.assert_allclose(layer(x), (x - [1, 2, 3]) * [0.5, 0.25, 2.0], rtol=1e-5, atol=1e-6)


def test_pixel_normalization_maps_to_minus_one_to_one_by_default():
    assert layers.PixelNormalization()(np.array([[[[0.0, 255.0]]]])).numpy().ravel().tolist() == [-1.0, 1.0]


def test_constants_may_be_arrays(tmp_path):
    image = keras.Input((4, 4, 3))
    model = keras.Model(image, layers.PixelNormalization(np.array([1.0, 2, 3]), np.float32(0.5))(image))
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(loaded(np.zeros((1, 4, 4, 3)))[0, 0, 0], [-0.5, -1, -1.5])


def test_pixel_normalization_of_the_wrong_length_is_refused(x):
    with pytest.raises(ValueError, match="2 values of mean for 3 channels"):
        layers.PixelNormalization(mean=[1.0, 2.0])(x)
