"""Files of 16 bits, floats and many bands keep their values; copies are recognized by their pixels."""

import os

import numpy as np
import pytest
from PIL import Image
from support.deep_images import encode_png, encode_tiff

from pocketzoo import training, zoo

pytestmark = pytest.mark.fast

COUNT = 12


def values_of(dtype, channels, high=60000):
    """Different images of 6x5 pixels that use the whole range."""
    random = np.random.default_rng(0)
    pixels = (random.random((2 * COUNT, 6, 5, channels)) * high).astype(dtype)
    pixels[:, 0, 0] = high
    return pixels


def write_folder(root, pixels, encode, suffix):
    for number, image in enumerate(pixels):
        path = root / ("ant", "bee")[number % 2] / f"{number}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(image))
    return root


def loaded_images(data):
    return np.concatenate([split.arrays()[0] for split in (data.train, data.validation, data.test)])


def same_images(data, pixels):
    return sorted(image.tobytes() for image in loaded_images(data)) == sorted(image.tobytes() for image in pixels)


@pytest.mark.parametrize(
    ("dtype", "channels", "encode", "high", "expected"),
    [
        ("uint16", 3, encode_png, 60000, (0, 65535)),
        ("uint16", 1, encode_png, 4000, (0, 4095)),
        ("uint16", 5, encode_tiff, 60000, (0, 65535)),
        ("float32", 4, encode_tiff, 0.9, (0, 1)),
        ("int16", 2, encode_tiff, 200, (0, 255)),
        ("uint8", 6, encode_tiff, 250, (0, 255)),
    ],
)
def test_deep_files_and_bands_keep_their_values(dtype, channels, encode, high, expected, tmp_path):
    pixels = values_of(dtype, channels, high)
    data = training.load_data(write_folder(tmp_path, pixels, encode, "tif"), image_size=(6, 5))
    assert (data.image_shape, data.pixel_range) == ((6, 5, channels), expected)
    assert data.dtype == ("float32" if dtype == "int16" else dtype)
    assert ("inferred" in data.interpretation) == (dtype != "uint8")
    assert same_images(data, pixels.astype(data.dtype))
    found = training.survey(tmp_path)
    assert (found.dtype, found.pixel_range, len(found.mean)) == (data.dtype, expected, channels)
    mean = data.train.arrays()[0].mean(axis=(0, 1, 2), dtype="float64")
    if channels != 1:  # of those that are not upsampled alike
        np.testing.assert_allclose(found.mean, mean, rtol=0.1)


def test_range_and_dtype_can_be_stated(tmp_path):
    root = write_folder(tmp_path, values_of("uint16", 1, 4000), encode_png, "png")
    data = training.load_data(root, image_size=(6, 5), pixel_range=(0, 65535))
    assert (data.pixel_range, "inferred" in data.interpretation) == ((0, 65535), False)
    data = training.load_data(root, image_size=(6, 5), dtype="uint8")
    assert (data.dtype, data.image_shape, data.pixel_range) == ("uint8", (6, 5, 3), (0, 255))
    assert loaded_images(data).max() == 4000 // 257
    data = training.load_data(root, image_size=(6, 5), dtype="float32", pixel_range=(0, 4095), channels=3)
    assert (data.dtype, loaded_images(data).max()) == ("float32", 4000)


@pytest.mark.parametrize(
    "stated", [{"pixel_range": (0, 65535)}, {"dtype": "uint8"}, {"dtype": "float32", "pixel_range": (0, 4500)}]
)
def test_shards_keep_the_stated_range_and_dtype(stated, tmp_path):
    root = write_folder(tmp_path / "files", values_of("uint16", 1, 4000), encode_png, "png")
    written = training.load_data(root, image_size=(6, 5), **stated)
    training.write_shards(written, tmp_path / "shards")
    data = training.load_data(tmp_path / "shards", image_size=(6, 5))
    assert (data.dtype, data.pixel_range) == (written.dtype, written.pixel_range)
    assert np.array_equal(np.sort(loaded_images(data).ravel()), np.sort(loaded_images(written).ravel()))
    assert training.survey(tmp_path / "shards").pixel_range == tuple(written.pixel_range)
    other = training.load_data(tmp_path / "shards", image_size=(6, 5), dtype="uint16", pixel_range=(0, 5000))
    assert (other.dtype, other.pixel_range) == ("uint16", (0, 5000))


def test_images_of_sixteen_bits_among_others_are_reduced_and_it_is_said(tmp_path):
    root = write_folder(tmp_path, values_of("uint16", 1), encode_png, "png")
    Image.fromarray(np.arange(30, dtype=np.uint8).reshape(6, 5)).save(root / "ant" / "eight.png")
    data = training.load_data(root, image_size=(6, 5))
    assert (data.dtype, data.pixel_range) == ("uint8", (0, 255))
    assert "Images of 16 bits are reduced to 8" in data.interpretation
    kept = training.load_data(root, image_size=(6, 5), dtype="uint16")
    assert (kept.dtype, kept.image_shape) == ("uint16", (6, 5, 1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dtype": "int8"}, r"unknown dtype 'int8': did you mean uint8\?"),
        ({"pixel_range": (0, 100)}, r"pixels from .* to 60000, outside of the stated pixel_range 0\.\.100"),
        ({"pixel_range": "0..1"}, r"pixel_range is '0\.\.1'; load_data requires \(a number, a number\)"),
        ({"dtype": "uint8"}, "its pixels are floating-point numbers of unknown range"),
        ({"dtype": "uint16"}, "its pixels are floating-point numbers of unknown range, which uint16 does not hold"),
        ({}, r"has float32 pixels from .* to 60000; state the range .*, as in pixel_range=\(\d+, 60000\)"),
        ({"channels": 4, "pixel_range": (0, 1e5)}, "has 1 bands, but 4 channels are to be read; set channels to 1"),
        ({"channels": 0}, "channels is 0; it takes 1"),
    ],
)
def test_values_that_do_not_fit_are_refused_in_words(arguments, message, tmp_path):
    root = write_folder(tmp_path, values_of("float32", 1), encode_tiff, "tif")
    with pytest.raises(zoo.InputError, match=message):
        training.load_data(root, image_size=6, **arguments)


def test_values_that_are_not_finite_are_named(tmp_path):
    pixels = values_of("float32", 1, 1)
    pixels[3, 2, 2] = np.nan
    root = write_folder(tmp_path, pixels, encode_tiff, "tif")
    with pytest.raises(zoo.InputError, match=r"3\.tif has pixels that are no finite numbers"):
        training.load_data(root, image_size=6)


@pytest.fixture
def splits(tmp_path):
    """Photos in a train and a test folder, in several formats."""
    random = np.random.default_rng(0)
    for split, count in (("train", 10), ("test", 4)):
        for label in ("ant", "bee"):
            (tmp_path / split / label).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 256, (20, 30, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / split / label / f"{number}.jpg")
    return tmp_path


@pytest.mark.parametrize("suffix", ["bmp", "png", "tif", "webp"])
def test_copies_in_another_format_and_split_are_found(suffix, splits):
    copy = splits / "test" / "ant" / f"copy.{suffix}"
    Image.open(splits / "train" / "ant" / "3.jpg").save(copy, **({"lossless": True} if suffix == "webp" else {}))
    with pytest.raises(
        zoo.InputError, match=r"1 images are also in another split, such as .*train/ant/3\.jpg \(train\)"
    ):
        training.load_data(splits, image_size=8)
    (group,) = training.survey(splits).leaked
    assert set(group) == {f"train: {splits}/train/ant/3.jpg", f"test: {copy}"}


def test_gray_images_saved_in_color_are_copies_and_stay_in_one_split(tmp_path):
    random = np.random.default_rng(0)
    for label in ("ant", "bee"):
        (tmp_path / label).mkdir()
        for number in range(12):
            gray = Image.fromarray(random.integers(0, 256, (9, 9), dtype=np.uint8))
            gray.save(tmp_path / label / f"{number}.png")
            gray.convert("RGB").save(tmp_path / label / f"{number}.bmp")
    data = training.load_data(tmp_path, image_size=9)
    parts = [{image.tobytes() for image in split.arrays()[0]} for split in (data.train, data.validation, data.test)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 24


def test_copies_of_another_class_are_reported_and_left_out(splits):
    copy = splits / "train" / "bee" / "wrong.png"
    Image.open(splits / "train" / "ant" / "3.jpg").save(copy)
    with pytest.raises(
        zoo.InputError,
        match=r"2 images have a copy in another class, such as .*3\.jpg \(ant\) has the .* as .*wrong\.png",
    ):
        training.load_data(splits, image_size=8)
    data = training.load_data(splits, image_size=8, on_unreadable="skip")
    assert {os.path.basename(name) for name in data.skipped} == {"3.jpg", "wrong.png"}
    found = training.survey(splits)
    assert found.contradictions[str(copy)] == f"{copy} (bee) has the same pixels as {splits}/train/ant/3.jpg (ant)."
    assert len(found.contradictions) == 2


def test_splits_are_those_of_the_files_bytes_whatever_the_size(splits):
    root = splits / "train"
    sizes = [training.load_data(root, image_size=size) for size in (4, 16)]
    first, second = ([data.test.images.files.name(row) for row in range(len(data.test))] for data in sizes)
    assert first == second
