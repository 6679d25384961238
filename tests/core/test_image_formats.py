"""Which files are opened as images: by content, within limits, and by one function."""

import ast
import io
import os
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.deep_images import encode_tiff

from pocketzoo.core.encoded_images import load_image, read_header, read_values
from pocketzoo.core.errors import InputError
from pocketzoo.core.image_formats import FORMATS
from pocketzoo.tasks.mask_files import decode_mask
from pocketzoo.training.data.paired_folders import find_unnamed_pair
from pocketzoo.zoo.image_files import read_image, read_pixels

pytestmark = pytest.mark.fast

ROOT = Path(__file__).parents[2]
FORBIDDEN = {
    "load_img",
    "decode_image",
    "decode_jpeg",
    "decode_bmp",
    "decode_gif",
    "imread",
    "image_dataset_from_directory",
}
NOISE = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def encoded(form: str, mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    Image.fromarray(NOISE).convert(mode).save(file, form)
    return file.getvalue()


def sources():
    folders = ("core", "layers", "tasks", "zoo", "training", "export", "cli", "docs", "recipes")
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def test_one_function_opens_images():
    """Calls of other libraries' decoders, by attribute; our own `decode_image` is called by its name alone."""
    found = set()
    for path in sources():
        text = path.read_text(encoding="utf-8")
        names = ("Image.open", "Image.OPEN", "ImagePlugin", "PIL.", *FORBIDDEN, "decode_png")
        for node in ast.walk(ast.parse(text)) if any(name in text for name in names) else ():
            if not isinstance(node, ast.Attribute):
                continue
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            is_pillow = owner in ("Image", "TiffImagePlugin", "PIL") and node.attr in ("open", "OPEN", "TiffImageFile")
            if is_pillow or node.attr in FORBIDDEN | {"decode_png"}:
                found.add((str(path.relative_to(ROOT)), f"{owner}.{node.attr}"))
    assert found == {("core/image_formats.py", "Image.OPEN"), ("core/encoded_images.py", ".decode_png")}


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"
OTHERS = {
    "PostScript": POSTSCRIPT,
    "PostScript with a preview": struct.pack("<4sIIIIIIH", b"\xc5\xd0\xd3\xc6", 32, len(POSTSCRIPT), 0, 0, 0, 0, 0)
    + POSTSCRIPT,
    "WMF": b"\xd7\xcd\xc6\x9a\0\0" + struct.pack("<hhhhHI", 0, 0, 8, 8, 72, 0) + b"\0\0\x01\0\x09\0\0\x03",
    "SVG": b"\xef\xbb\xbf <svg xmlns='http://www.w3.org/2000/svg'><image href='/etc/passwd'/></svg>",
    "GBR": struct.pack(">7I", 28, 2, 4, 4, 1, 0x47494D50, 10) + bytes(16),
    "FITS": b"SIMPLE  =                    T".ljust(80) + b"END".ljust(2800),
    "FLI": struct.pack("<IHHHHH", 128, 0xAF11, 1, 8, 8, 8).ljust(128, b"\0"),
    "PSD": b"8BPS\0\x01" + bytes(6) + struct.pack(">HIIHH", 3, 8, 8, 8, 3) + bytes(24),
    "XPM": b'/* XPM */\nstatic char *a[] = {\n"1 1 1 1",\n"a c #000000",\n"a"\n};\n',
    "IPTC": b"\x1c\x02\0\0\0",
    "FPX": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504),
} | {form: encoded(form) for form in ("ICNS", "PDF", "PCX", "SGI", "IM", "QOI", "TGA", "ICO", "DDS")}
READERS = {
    "read_image": lambda path: read_image(path, height=4, width=4, channels=3),
    "read_pixels": lambda path: read_pixels(path, height=4, width=4, channels=3, pixel_range=(0, 255)),
    "mask": lambda path: decode_mask(path.read_bytes(), str(path)),
    "values": lambda path: read_values(path.read_bytes(), str(path)),
    "header": lambda path: read_header(path.open("rb"), str(path)),
}


@pytest.fixture
def no_programs(monkeypatch):
    """Fail where a program is started."""

    def fail(*arguments, **_):
        pytest.fail(f"started {arguments}")

    monkeypatch.setattr(subprocess, "Popen", fail)
    monkeypatch.setattr(os, "system", fail)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("kind", OTHERS)
def test_other_formats_are_refused_whatever_their_name(kind, read, tmp_path, no_programs):
    path = tmp_path / "photo.jpg"
    path.write_bytes(OTHERS[kind])
    with pytest.raises(InputError, match=r"photo\.jpg cannot be read as an image: it is .*read: JPEG, PNG, .*HEIC\.$"):
        READERS[read](path)


def test_folders_of_masks_are_found_without_opening_other_formats(tmp_path, no_programs):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1.png").write_bytes(POSTSCRIPT)
    assert find_unnamed_pair(tmp_path) is None


@pytest.mark.parametrize("form", sorted(FORMATS.keys() - {"HEIF"}))
def test_documented_formats_are_read_whatever_their_name(form, tmp_path):
    path = tmp_path / "photo.eps"
    path.write_bytes(encoded(form))
    assert read_image(path, height=8, width=8).shape == (8, 8, 3)
    with path.open("rb") as file:
        header = read_header(file, path)
    assert (header.format, header.mode, header.size) == (FORMATS[form], "P" if form == "GIF" else "RGB", (8, 8))


def test_documentation_lists_the_formats():
    page = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    assert all(name in page for name in FORMATS.values())


def test_iso_media_files_are_avif_or_heic_by_their_brands():
    avif = encoded("AVIF")
    assert read_values(avif[:8] + b"mif1" + avif[12:], "a").shape == (8, 8, 3)
    with pytest.raises(InputError, match=r"HEIC image, whose reader is not installed|no image format"):
        read_values(b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "a")


def _png(width, height, bits=8):
    header = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _replaced(form: str, old: bytes, new: bytes) -> bytes:
    content = encoded(form)
    assert old in content
    return content.replace(old, new, 1)


def _webp(width, height):
    sizes = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    frame = bytes(6) + struct.pack("<I", 7)[:3] * 2 + bytes(4) + encoded("WEBP")[12:]
    chunks = [(b"VP8X", b"\x02\0\0\0" + sizes), (b"ANIM", bytes(6)), (b"ANMF", frame)]
    body = b"WEBP" + b"".join(kind + struct.pack("<I", len(data)) + data for kind, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


HUGE = {
    "PNG": _png(60_000, 60_000),
    "PNG of 16 bits": _png(60_000, 60_000, bits=16),
    "BMP": _replaced("BMP", struct.pack("<ii", 8, 8), struct.pack("<ii", 60_000, 60_000)),
    "GIF": b"GIF89a"
    + struct.pack("<HHBBB", 60_000, 60_000, 0x80, 0, 0)
    + bytes(6)
    + b",\0\0\0\0\x08\0\x08\0\0\x02\x02\x4c\x01\0;",
    "JPEG": _replaced("JPEG", b"\0\x11\x08\0\x08\0\x08", b"\0\x11\x08" + struct.pack(">HH", 60_000, 60_000)),
    "JPEG2000": _replaced("JPEG2000", struct.pack(">II", 8, 8), struct.pack(">II", 60_000, 60_000)),
    "PPM": b"P6 60000 60000 255\n" + bytes(64),
    "TIFF": encoded("TIFF")
    .replace(struct.pack("<HHIHH", 256, 4, 1, 8, 0), struct.pack("<HHII", 256, 4, 1, 60_000))
    .replace(struct.pack("<HHIHH", 257, 4, 1, 8, 0), struct.pack("<HHII", 257, 4, 1, 60_000)),
    "TIFF of bands": encode_tiff(np.dstack([NOISE, NOISE]))
    .replace(struct.pack("<HHII", 256, 4, 1, 8), struct.pack("<HHII", 256, 4, 1, 60_000))
    .replace(struct.pack("<HHII", 257, 4, 1, 8), struct.pack("<HHII", 257, 4, 1, 60_000)),
    "WebP": _webp(60_000, 60_000),
}


@pytest.mark.parametrize("form", HUGE)
def test_images_above_the_limit_are_refused_before_they_are_decoded(form):
    for read in (read_values, load_image):
        with pytest.raises(
            InputError,
            match=r"3,?600,?000,?000 pixels\)?; the limit is 178,956,970 .*raise POCKETZOO_LIMIT_IMAGE_PIXELS",
        ) as error:
            read(HUGE[form], "photo.jpg")
        assert str(error.value).startswith("photo.jpg cannot be read as an image: ")


def test_the_limit_can_be_lowered_and_raised(monkeypatch):
    monkeypatch.setenv("POCKETZOO_LIMIT_IMAGE_PIXELS", "63")
    with pytest.raises(InputError, match="8 x 8 and has 64 pixels; the limit is 63"):
        read_values(encoded("PNG"), "a")
    monkeypatch.setenv("POCKETZOO_LIMIT_IMAGE_PIXELS", "64")
    assert read_values(encoded("PNG"), "a").shape == (8, 8, 3)
    monkeypatch.setenv("POCKETZOO_LIMIT_IMAGE_PIXELS", "4000000000")
    with pytest.raises(InputError, match="it is damaged"):
        read_header(io.BytesIO(HUGE["PNG"][:20]), "a")
    assert read_header(io.BytesIO(HUGE["PNG"]), "a").size == (60_000, 60_000)


def test_a_jpeg_of_thousands_of_scans_is_refused(monkeypatch):
    file = io.BytesIO()
    Image.fromarray(NOISE).save(file, "JPEG", progressive=True)
    content = file.getvalue()
    assert read_values(content, "a").shape == (8, 8, 3)
    scan = content[content.rindex(b"\xff\xda") : -2]
    monkeypatch.setenv("POCKETZOO_LIMIT_JPEG_PIXELS", "6400")
    with pytest.raises(InputError, match=r"it is 8 x 8 in 1,\d\d\d scans and has .*pixels; the limit is 6,400"):
        read_values(content[:-2] + 1000 * scan + content[-2:], "a")


def test_a_tiff_of_many_bands_takes_no_more_memory_than_the_limit(monkeypatch):
    content = encode_tiff(np.zeros((8, 8, 9), np.uint16), planar=True, deflate=True)
    assert read_values(content, "a").shape == (8, 8, 9)
    monkeypatch.setenv("POCKETZOO_LIMIT_TIFF_BYTES", "1000")
    with pytest.raises(InputError, match=r"has 1,152 bytes; the limit is 1,000"):
        read_values(content, "a")
    monkeypatch.setenv("POCKETZOO_LIMIT_TIFF_BANDS", "8")
    with pytest.raises(InputError, match=r"it has 9 bands; the limit is 8"):
        read_values(content, "a")
