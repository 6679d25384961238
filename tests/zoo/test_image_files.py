import io
import os
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from support.deep_images import encode_tiff

from pocketzoo import zoo
from pocketzoo.zoo.image_files import MODES, fit_values, read_image, read_pixels, resize

pytestmark = pytest.mark.fast


def write(path, mode: str, size=(20, 10)):
    Image.fromarray(np.full((size[1], size[0], 4), 200, "uint8"), "RGBA").convert(mode).save(path)
    return path


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "webp"])
@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (1, "RGB"), (3, "L")])
def test_every_format_and_mode_is_read_in_the_requested_shape(suffix, channels, mode, tmp_path):
    pixels = read_image(write(tmp_path / f"a.{suffix}", mode), height=7, width=9, channels=channels)
    assert pixels.shape == (7, 9, channels)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - 200).max() <= 2


def test_photo_is_rotated_by_its_exif_tag(tmp_path):
    image = Image.new("L", (2, 1))
    image.putpixel((0, 0), 255)
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise
    image.save(tmp_path / "turned.png", exif=exif)
    assert read_image(tmp_path / "turned.png", height=2, width=1, channels=1).ravel().tolist() == [255, 0]


def test_sixteen_bits_are_scaled_to_eight(tmp_path):
    ramp = np.linspace(0, 65535, 256).astype("uint16").reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    read = read_image(tmp_path / "deep.png", height=16, width=16, channels=1)
    np.testing.assert_array_equal(read.ravel(), np.arange(256))


def test_transparent_pixels_become_white(tmp_path):
    Image.new("RGBA", (4, 4), (200, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (read_image(tmp_path / "clear.png", height=4, width=4, channels=3) == 255).all()


def test_floating_point_pixels_are_refused(tmp_path):
    Image.fromarray(np.ones((4, 4), "float32")).save(tmp_path / "float.tif")
    with pytest.raises(zoo.InputError, match="floating-point numbers of unknown range"):
        read_image(tmp_path / "float.tif", height=4, width=4, channels=1)


def test_file_that_is_no_image_is_refused_in_words(tmp_path):
    (tmp_path / "notes.png").write_text("no image")
    with pytest.raises(zoo.InputError, match=r"notes\.png cannot be read as an image: it is in no image format that"):
        read_image(tmp_path / "notes.png", height=4, width=4, channels=3)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("kept", [0, 0.1, 0.5])
def test_damaged_image_is_refused(suffix, kept, tmp_path):
    path = tmp_path / f"damaged.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype("uint8")).save(path)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(zoo.InputError, match=r"damaged\.\w+ cannot be read as an image"):
        read_image(path, height=4, width=4, channels=3)


def test_missing_image_and_invalid_channel_count_are_refused(tmp_path):
    with pytest.raises(zoo.InputError, match="there is no such file"):
        read_image(tmp_path / "none.png", height=4, width=4, channels=3)
    with pytest.raises(zoo.InputError, match=r"1 \(grayscale\), 3 \(RGB\) or any other number of bands"):
        read_image(tmp_path / "none.png", height=4, width=4, channels=0)


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_sixteen_bits_are_kept_if_asked_for(dtype, tmp_path):
    ramp = np.linspace(0, 65535, 256).astype("uint16").reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    read = read_image(tmp_path / "deep.png", height=None, width=None, channels=3, dtype=dtype)
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, np.repeat(ramp[..., np.newaxis], 3, axis=-1))
    assert read_image(tmp_path / "deep.png", height=8, width=20, channels=1, dtype=dtype).shape == (8, 20, 1)


def test_bands_are_read_as_they_are_or_refused(tmp_path):
    bands = np.random.default_rng(0).integers(0, 256, (6, 7, 5), dtype=np.uint8)
    (tmp_path / "bands.tif").write_bytes(encode_tiff(bands))
    np.testing.assert_array_equal(read_image(tmp_path / "bands.tif", height=6, width=7, channels=5), bands)
    with pytest.raises(
        zoo.InputError, match=r"bands\.tif has 5 bands, but 3 channels are to be read; set channels to 5"
    ):
        read_image(tmp_path / "bands.tif", height=6, width=7, channels=3)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scale", [1, 257])
def test_values_are_resized_and_converted_as_pillow_does(channels, scale):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 14, 3), dtype=np.uint8)
    expected = resize(Image.fromarray(pixels).convert(MODES[channels]), 5, 6).astype(float)
    dtype = "uint8" if scale == 1 else "uint16"
    values = fit_values(pixels.astype(dtype) * scale, "a", height=5, width=6, channels=channels, dtype=dtype)
    np.testing.assert_allclose(values / scale, expected, atol=1.01)


def test_damaged_image_of_pillow_is_refused(tmp_path):
    path = tmp_path / "cut.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype("uint8")).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with Image.open(path) as image, pytest.raises(zoo.InputError, match=r"the image of Pillow cannot be read: .*trunc"):
        read_pixels(image, height=4, width=4, channels=3, pixel_range=(0, 255))


def test_pipes_and_files_above_the_limit_are_not_read(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(zoo.InputError, match=r"pipe\.png cannot be read.*: it is a pipe, not a regular file"):
        read_image(tmp_path / "pipe.png", height=4, width=4)
    monkeypatch.setenv("POCKETZOO_LIMIT_IMAGE_BYTES", "20")
    (tmp_path / "large.png").write_bytes(bytes(21))
    with pytest.raises(zoo.InputError, match=r"large\.png has 21 bytes; the limit is 20"):
        read_image(tmp_path / "large.png", height=4, width=4)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(bytes(30))))
    with pytest.raises(zoo.InputError, match=r"standard input has 21 bytes; the limit is 20"):
        read_image("-", height=4, width=4)
