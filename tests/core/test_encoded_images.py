"""Values of image files as stored, and why others cannot be read."""

import io
import struct
import sys
import types
import zlib

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, features
from PIL.JpegImagePlugin import JpegImageFile
from support.deep_images import encode_png, encode_tiff

from pocketzoo.core.encoded_images import load_image, read_header, read_values
from pocketzoo.core.errors import InputError
from pocketzoo.tasks.mask_files import decode_mask
from pocketzoo.zoo.image_files import decode_image

pytestmark = pytest.mark.fast

NOISE = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)


def saved(image, form, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def encoded(pixels, form, **options) -> bytes:
    return saved(Image.fromarray(pixels), form, **options)


@settings(max_examples=60, deadline=None)
@given(
    dtype=st.sampled_from(["uint8", "uint16", "int16", "int32", "float32"]),
    shape=st.tuples(st.integers(2, 9), st.integers(1, 9), st.integers(1, 7)),
    planar=st.booleans(),
    order=st.sampled_from("<>"),
    deflate=st.booleans(),
    differences=st.booleans(),
)
@example(dtype="uint16", shape=(2, 1, 1), planar=True, order="<", deflate=False, differences=False)
def test_tiff_of_any_bands_and_bits_keeps_its_values(dtype, shape, planar, order, deflate, differences):
    high = {"uint8": 255, "float32": 1000}.get(dtype, 32000)
    pixels = np.random.default_rng(0).integers(-high if dtype[0] in "if" else 0, high, shape).astype(dtype)
    differences = differences and deflate and dtype in ("uint8", "uint16")
    file = encode_tiff(pixels, planar=planar, order=order, deflate=deflate, differences=differences)
    values = read_values(file, "file")
    assert values.dtype == dtype
    np.testing.assert_array_equal(values, pixels)
    assert read_header(io.BytesIO(file), "file").size == shape[:2]


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
        (b"no image", "it is in no image format that is read\\. Formats that are read: JPEG, PNG"),
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
    with pytest.raises(InputError, match="in no image format"):
        load_image(b"\0\0\0\x18ftypheic....", "photo.heic")
    assert registered


assert features.check("avif")
assert features.check("webp")
EXIF = Image.Exif()
EXIF[0x0112] = 6
GRAY, RGB, DEEP = (
    Image.fromarray(NOISE[..., 0]),
    Image.fromarray(NOISE),
    Image.fromarray(NOISE[..., 0] * np.uint16(257)),
)
MOVING = {"save_all": True, "append_images": [RGB.transpose(Image.Transpose.ROTATE_90)]}
FILES = {
    "jpeg": saved(RGB, "JPEG", exif=EXIF),
    "gray jpeg": saved(GRAY, "JPEG"),
    "progressive jpeg": saved(RGB, "JPEG", progressive=True),
    "cmyk jpeg": saved(RGB.convert("CMYK"), "JPEG"),
    "several pictures in a jpeg": saved(RGB, "MPO", **MOVING),
    "png": saved(RGB, "PNG", exif=EXIF),
    "transparent png": saved(RGB.convert("RGBA"), "PNG"),
    "palette png": saved(RGB.quantize(7), "PNG", transparency=3),
    "black and white png": saved(GRAY.convert("1"), "PNG"),
    "16-bit png": saved(DEEP, "PNG"),
    "16-bit color png": encode_png(np.repeat(NOISE[..., :1], 4, axis=-1) * np.uint16(257)),
    "moving png": saved(RGB, "PNG", **MOVING),
    "gif": saved(RGB.quantize(7), "GIF", transparency=2),
    "moving gif": saved(RGB, "GIF", **MOVING),
    "bmp": saved(RGB, "BMP"),
    "palette bmp": saved(RGB.quantize(7), "BMP"),
    "tiff": saved(RGB, "TIFF", exif=EXIF),
    "lzw tiff": saved(RGB, "TIFF", compression="tiff_lzw"),
    "jpeg tiff": saved(RGB, "TIFF", compression="jpeg"),
    "cmyk tiff": saved(RGB.convert("CMYK"), "TIFF"),
    "16-bit tiff": saved(DEEP, "TIFF"),
    "float tiff": saved(Image.fromarray(np.float32(NOISE[..., 0])), "TIFF"),
    "tiff of bands": encode_tiff(np.dstack([NOISE, NOISE]), deflate=True),
    "planar tiff of bands": encode_tiff(np.dstack([NOISE, NOISE]), planar=True),
    "webp": saved(RGB, "WEBP", exif=EXIF),
    "lossless webp": saved(RGB.convert("RGBA"), "WEBP", lossless=True),
    "moving webp": saved(RGB, "WEBP", **MOVING),
    "avif": saved(RGB, "AVIF", exif=EXIF),
    "moving avif": saved(RGB, "AVIF", **MOVING),
    "jpeg 2000": saved(RGB, "JPEG2000"),
    "codestream": saved(RGB, "JPEG2000", no_jp2=True),
    "ppm": saved(RGB, "PPM"),
    "plain ppm": b"P3 2 2 9 " + b"1 2 3 " * 4,
    "16-bit pgm": saved(DEEP, "PPM"),
}
DECODERS = {
    "values": read_values,
    "pixels": lambda content, name: decode_image(content, name, height=5, width=4, channels=3),
    "gray": lambda content, name: decode_image(content, name, height=None, width=None, channels=1, dtype="float32"),
    "mask": decode_mask,
    "header": lambda content, name: np.zeros(read_header(io.BytesIO(content), name).size),
}


@pytest.mark.parametrize("form", FILES)
def test_undamaged_files_of_every_kind_are_read(form):
    values = read_values(FILES[form], "file")
    assert values.ndim == 3
    assert read_header(io.BytesIO(FILES[form]), "file").size == values.shape[:2]
    if "float" not in form and "bands" not in form:
        assert decode_image(FILES[form], "file", height=5, width=4, channels=3).shape == (5, 4, 3)


@pytest.mark.filterwarnings("error::ResourceWarning", "ignore::UserWarning:PIL")
@settings(max_examples=400, deadline=None)
@given(
    form=st.sampled_from(sorted(FILES)),
    decoder=st.sampled_from(sorted(DECODERS)),
    cut=st.one_of(st.just(1), st.floats(0, 1)),
    # Headers are near the beginning: half of the places are there.
    change=st.lists(st.tuples(st.one_of(st.floats(0, 1), st.integers(2, 200)), st.integers(0, 255)), max_size=4),
)
def test_damaged_file_is_named_whatever_its_decoder_raises(form, decoder, cut, change):
    data = bytearray(FILES[form])
    for place, value in change:
        data[min(place if isinstance(place, int) else int(place * len(data)), len(data) - 1)] = value
    data = bytes(data[: int(cut * len(data))])
    try:
        values = DECODERS[decoder](data, "photo.img")
        text = ""
    except InputError as error:
        text = str(error)
    assert values.ndim in (2, 3) if not text else text.startswith("photo.img ")
    assert len(text.splitlines()) <= 1


ERRORS = (struct.error, IndexError, SyntaxError, MemoryError, EOFError, zlib.error, RecursionError, KeyError, Exception)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("step", ["__init__", "load", "getexif"])
def test_an_error_of_any_class_from_a_decoder_means_an_unreadable_file(step, error, monkeypatch):
    def fail(*_, **__):
        raise error("odd bytes")

    monkeypatch.setattr(JpegImageFile, step, fail)
    for decode in (DECODERS["values"], DECODERS["pixels"], DECODERS["mask"]):
        with pytest.raises(InputError, match=r"^a\.jpg cannot be read as an image: it is damaged \(.*odd bytes"):
            decode(FILES["jpeg"], "a.jpg")


def test_an_error_of_our_own_is_no_damaged_file(monkeypatch):
    monkeypatch.setattr("pocketzoo.zoo.image_files.resize", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        decode_image(FILES["jpeg"], "a.jpg", height=4, width=4, channels=3)


def test_image_with_a_side_above_the_limit_is_refused(monkeypatch):
    monkeypatch.setenv("POCKETZOO_LIMIT_IMAGE_SIDE", "1000")
    file = encoded(np.zeros((1, 1001), "uint8"), "PNG")
    with pytest.raises(InputError, match=r"thin\.png .*it is 1,001 x 1 and a side of it has 1,001 pixels; the "):
        read_values(file, "thin.png")
    read_values(encoded(np.zeros((1, 1000), "uint8"), "PNG"), "thin.png")


@pytest.mark.parametrize(
    "file",
    [
        b"P5 #" + b"a" * 10**6 + b"\n1 1 255 \0",
        b"\xff\xd8" + b"\xff" * 10**6 + b"\xd9",
        encoded(np.zeros((1, 1), "uint8"), "PNG")[:33] + 10**5 * (b"\0\0\0\0prVt" + zlib.crc32(b"prVt").to_bytes(4)),
    ],
    ids=["comment", "padding", "chunks"],
)
def test_header_of_too_many_parts_is_refused(file, monkeypatch):
    monkeypatch.setenv("POCKETZOO_LIMIT_IMAGE_READS", "100000")
    with pytest.raises(InputError, match=r"long cannot be read .*: it has 100,001 parts; the limit is 100,000"):
        read_header(io.BytesIO(file), "long")
