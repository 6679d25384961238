"""The image formats that are read, told apart by content, and the one function that opens an image with Pillow."""

import importlib
from typing import IO, Any, cast

from PIL import Image

from .errors import InputError
from .limits import IMAGE_PIXELS, IMAGE_READS, IMAGE_SIDE, JPEG_PIXELS

FORMATS = {
    "JPEG": "JPEG",
    "PNG": "PNG",
    "BMP": "BMP",
    "GIF": "GIF",
    "WEBP": "WebP",
    "TIFF": "TIFF",
    "AVIF": "AVIF",
    "JPEG2000": "JPEG 2000",
    "PPM": "PPM",
    "HEIF": "HEIC",
}
"""Formats by Pillow's names for them: pictures whose files begin with a signature. Others of Pillow's readers start
programs (EPS), take minutes for small files (DDS), or cannot tell their format from noise (TGA)."""
JPEG = ("JPEG", "MPO")
"""What Pillow calls JPEG files; those of several pictures differently."""
READ = ", ".join(FORMATS.values())
HEAD = 256
"""Bytes of a file that show what it is."""
HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"}
IMAGE_CONTAINERS = {b"mif1", b"msf1"}
"""Brands of files with images that are encoded in one way or another."""
NOT_READ = {
    b"\0\0\0\x0cJXL ": "a JPEG XL image",
    b"\xff\x0a": "a JPEG XL image",
    b"\0\0\x01\0": "an icon (ICO)",
    b"\0\0\x02\0": "a cursor (CUR)",
    b"icns": "an icon (ICNS)",
    b"8BPS": "a Photoshop file (PSD)",
    b"DDS ": "a DDS texture",
    b"BLP": "a BLP texture",
    b"qoif": "a QOI image",
    b"SIMPLE  =": "a FITS image",
    b"\x76\x2f\x31\x01": "an OpenEXR image",
    b"gimp xcf": "a GIMP file (XCF)",
    b"\xd7\xcd\xc6\x9a": "a Windows metafile (WMF)",
    b"\x01\0\0\0": "a Windows metafile (EMF)",
    b"%!PS": "a PostScript drawing",
    b"\xc5\xd0\xd3\xc6": "a PostScript drawing",
    b"%PDF": "a PDF document",
    b"<svg": "an SVG drawing",
}
"""Pictures that are not read, by their first bytes."""
NO_PICTURE = {
    b"version https://git-lfs": "it is a pointer of Git LFS; `git lfs pull` fetches the image",
    b"<!doctype": "it is a web page; the download of the image failed",
    b"<html": "it is a web page; the download of the image failed",
    b"<?xml": "it is an XML document",
    b"PK\x03\x04": "it is a ZIP archive",
    b"\x89HDF": "it is an HDF5 file",
    b"\x93NUMPY": "it is a NumPy array; give arrays to from_arrays",
}
"""What else a file may be, by its first bytes, in lower case where they are text."""


def open_image(file: IO[bytes]) -> Image.Image:
    """Open an image without decoding it.

    Pillow's `Image.open` is not used: it warns of, or refuses, sizes by a limit of the whole process.

    Args:
        file: At its beginning.

    Raises:
        InputError: It is in none of `FORMATS`, or too large.
        Exception: Of any class, from Pillow: it is damaged.
    """
    head = file.read(HEAD)
    name = _format(head)
    file.seek(0)
    most = IMAGE_PIXELS.value
    if Image.MAX_IMAGE_PIXELS is not None and most > 2 * Image.MAX_IMAGE_PIXELS:  # the user has raised ours
        Image.MAX_IMAGE_PIXELS = most  # Pillow's readers check the size of frames and tiles themselves
    image: Image.Image = Image.OPEN[name][0](cast("IO[bytes]", _CountedReads(file)), "")
    IMAGE_SIDE.check(max(image.size), f"it is {image.width:,} x {image.height:,} and a side of it")
    IMAGE_PIXELS.check(image.width * image.height, f"it is {image.width:,} x {image.height:,} and")
    return image


class _CountedReads:
    """A file that refuses to be read too often: some readers take every byte of a comment by itself.

    Args:
        file: Anything but `read` is that of this file.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._reads, self._most = 0, IMAGE_READS.value

    def read(self, size: int = -1) -> bytes:
        """Read from the file."""
        self._reads += 1
        if self._reads > self._most:
            IMAGE_READS.check(self._reads, "it")
        return self._file.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def check_scans(encoded: bytes, image: Image.Image) -> None:
    """Raise InputError where an opened JPEG refines its pixels so often that few bytes would take minutes to decode."""
    if image.format in JPEG:
        scans = encoded.count(b"\xff\xda")
        JPEG_PIXELS.check(
            scans * image.width * image.height, f"it is {image.width:,} x {image.height:,} in {scans:,} scans and"
        )


def _format(head: bytes) -> str:
    """Return Pillow's name of the format of a file."""
    if not head:
        raise InputError("the file is empty.")
    Image.init()
    if _is_heic(head):
        _register_heic_reader()
    for name in FORMATS:
        accepts = Image.OPEN[name][1] if name in Image.OPEN else None
        found = accepts is not None and accepts(head[:16])
        if isinstance(found, str):  # Pillow was built without its decoder
            raise InputError(f"it is in the format {FORMATS[name]}, for which this Pillow has no decoder.")
        if found:
            return name
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    picture = next((kind for start, kind in NOT_READ.items() if head.startswith(start) or text.startswith(start)), None)
    if picture is not None:
        raise InputError(f"it is {picture}, which is not read; convert it to PNG. Formats that are read: {READ}.")
    other = next(
        (what for start, what in NO_PICTURE.items() if text.startswith(start) or text.lower().startswith(start)), None
    )
    raise InputError(f"{other or 'it is in no image format that is read'}. Formats that are read: {READ}.")


def _is_heic(head: bytes) -> bool:
    if head[4:8] != b"ftyp":
        return False
    length = int.from_bytes(head[:4], "big")
    brands = {head[8:12], *(head[place : place + 4] for place in range(16, min(length, len(head)), 4))}
    return head[8:12] in HEIC_BRANDS or (head[8:12] in IMAGE_CONTAINERS and b"avif" not in brands)


def _register_heic_reader() -> None:
    try:
        importlib.import_module("pillow_heif").register_heif_opener()
    except ImportError:
        raise InputError("it is a HEIC image, whose reader is not installed: pip install pillow-heif.") from None
