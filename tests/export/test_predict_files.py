"""Predictions for image files and images of Pillow."""

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from pocketzoo import export, zoo


@pytest.fixture(scope="module")
def model():
    """A net that outputs the mean of each color, as logits."""
    image = keras.Input((8, 8, 3))
    return keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(layers.Rescaling(1 / 255)(image))))


@pytest.fixture
def files(tmp_path):
    random = np.random.default_rng(0)
    for number, side in enumerate((8, 20)):
        pixels = random.integers(0, 256, (side, side, 3), "uint8")
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    return [tmp_path / "0.png", tmp_path / "1.png"]


@pytest.mark.parametrize("form", [list, lambda paths: tuple(map(str, paths)), lambda paths: [*map(Image.open, paths)]])
def test_files_and_pillow_images_are_read_as_by_read_image(model, files, form):
    expected = export.predict(model, np.stack([zoo.read_image(path, height=8, width=8) for path in files]))
    np.testing.assert_array_equal(export.predict(model, form(files)).probabilities, expected.probabilities)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_image_of_every_mode_is_that_of_its_file(model, mode, tmp_path):
    gray = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8), "uint8"))
    image = gray.convert("I").convert("I;16") if mode == "I;16" else gray.convert("RGB").convert(mode)
    image.save(tmp_path / "image.tif")
    expected = export.predict(model, tmp_path / "image.tif").probabilities
    np.testing.assert_array_equal(export.predict(model, image).probabilities, expected)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ("missing.png", "missing.png: there is no such file"),
        ([], "images of shape"),
        (None, "images of shape"),
        ([np.zeros((8, 8, 3)), np.zeros((4, 4, 3))], "images have several shapes"),
        (np.random.default_rng(0).random((2, 8, 8, 3)), "fractions from .* multiply by 255"),
    ],
)
def test_what_is_no_image_is_refused(model, images, words):
    with pytest.raises(zoo.InputError, match=words):
        export.predict(model, images)
