"""Values of image files as stored, and why others cannot be read."""

import io
import sys
import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features
from support.deep_images import encode_png, encode_tiff

from pocketzoo.core.encoded_images import displayed_size, open_image, read_values
from pocketzoo.core.errors import InputError

pytestmark = pytest.mark.fast

NOISE = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)


def encoded(pixels, form, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **options)
    return file.getvalue()


@settings(max_examples=60, deadline=None)
@given(
    dtype=st.sampled_from(["uint8", "uint16", "int16", "int32", "float32"]),
    shape=st.tuples(st.integers(2, 9), st.integers(1, 9), st.integers(1, 7)),
    planar=st.booleans(),
    order=st.sampled_from("<>"),
    deflate=st.booleans(),
    differences=st.booleans(),
)
def test_tiff_of_any_bands_and_bits_keeps_its_values(dtype, shape, planar, order, deflate, differences):
    high = {"uint8": 255, "float32": 1000}.get(dtype, 32000)
    pixels = np.random.default_rng(0).integers(-high if dtype[0] in "if" else 0, high, shape).astype(dtype)
    differences = differences and deflate and dtype in ("uint8", "uint16")
    file = encode_tiff(pixels, planar=planar, order=order, deflate=deflate, differences=differences)
    values = read_values(file, "file")
    assert values.dtype == dtype
    np.testing.assert_array_equal(values, pixels)
    assert displayed_size(file) == shape[:2]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bit_png_keeps_its_values(channels):
    pixels = np.random.default_rng(0).integers(0, 65536, (5, 6, channels), dtype=np.uint16)
    if channels in (2, 4):
        pixels[..., -1] = 65535
    values = read_values(encode_png(pixels), "file")
    np.testing.assert_array_equal(values, pixels[..., : channels - 1 if channels in (2, 4) else channels])


@pytest.mark.parametrize("dtype", ["uint16", "float32", "int32"])
def test_gray_tiff_keeps_its_values(dtype):
    pixels = np.arange(30).reshape(5, 6).astype(dtype) * 7
    np.testing.assert_array_equal(read_values(encoded(pixels, "TIFF"), "file")[..., 0], pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_sixteen_bit_colors_are_rotated_by_their_tag(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    gray = np.arange(6, dtype=np.uint8).reshape(2, 3)
    colors = np.repeat(gray[..., np.newaxis], 3, axis=-1)
    data = encoded(colors, "PNG", exif=exif)
    chunk = data[data.index(b"eXIf") - 4 :]
    length = 12 + int.from_bytes(chunk[:4], "big")
    deep = encode_png(colors.astype(np.uint16) * 257)
    deep = deep[:33] + chunk[:length] + deep[33:]
    np.testing.assert_array_equal(read_values(deep, "file"), read_values(data, "file").astype(np.uint16) * 257)


def test_bands_that_pillow_would_drop_in_another_compression_are_refused():
    file = encode_tiff(np.zeros((4, 4, 5), np.uint16)).replace(
        b"\x03\x01\x04\x00\x01\x00\x00\x00\x01", b"\x03\x01\x04\x00\x01\x00\x00\x00\x07"
    )
    with pytest.raises(
        InputError, match=r"file cannot be read as an image: it has 5 bands of 16 bits .*pip install tif"
    ):
        read_values(file, "file")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (
            b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
            "it is a HEIC image, whose reader is not installed: pip install pillow-heif",
        ),
        (b"<!DOCTYPE html><title>404</title>", "it is a web page; the download of the image failed"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "it is a pointer of Git LFS"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "it is a PostScript drawing"),
        (b"%PDF-1.7", "it is a PDF document"),
        (b"II*\0\x08\0\0\0", "it is"),
        (b"no image", "it is in no image format that Pillow reads"),
    ],
)
def test_file_that_is_no_image_says_what_it_is(content, reason, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(InputError, match=rf"^photo\.jpg cannot be read as an image: {reason}"):
        read_values(content, "photo.jpg")


def test_heic_images_are_read_once_their_reader_is_installed(monkeypatch):
    registered = []
    reader = types.SimpleNamespace(register_heif_opener=lambda: registered.append(True))
    monkeypatch.setitem(sys.modules, "pillow_heif", reader)
    with pytest.raises(InputError, match="in no image format"), open_image(b"\0\0\0\x18ftypheic....", "photo.heic"):
        pass
    assert registered


@settings(max_examples=150, deadline=None)
@given(
    form=st.sampled_from(
        ["AVIF", "DDS", "PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "TGA", "ICO", "JPEG2000", "bands"]
    ),
    cut=st.floats(0, 1),
    change=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=4),
)
def test_damaged_file_is_named_whatever_its_decoder_raises(form, cut, change):
    data = bytearray(FILES[form])
    for place, value in change:
        data[int(place * (len(data) - 1))] = value
    data = bytes(data[: int(cut * len(data))])
    try:
        values = read_values(data, "photo.img")
        text = ""
    except InputError as error:
        text = str(error)
    assert values.ndim == 3 if not text else text.startswith("photo.img cannot be read as an image: ")
    assert len(text.splitlines()) <= 1


assert features.check("avif")
FILES = {
    form: encoded(NOISE, form)
    for form in ("AVIF", "DDS", "PNG", "JPEG", "WEBP", "BMP", "TIFF", "TGA", "ICO", "JPEG2000")
}
FILES |= {"GIF": encoded(NOISE[..., 0], "GIF"), "bands": encode_tiff(np.dstack([NOISE, NOISE]), deflate=True)}
