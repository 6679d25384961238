"""Encoders of image files that Pillow does not write: 16-bit PNG in color, TIFF with any bands."""

import struct
import zlib

import numpy as np

COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
"""PNG's color type by number of channels."""


def encode_png(pixels: np.ndarray) -> bytes:
    """Return uint16 pixels `(height, width, 1 to 4 channels)` as a PNG."""
    height, width, channels = pixels.shape

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 16, COLOR_TYPES[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def encode_tiff(
    pixels: np.ndarray, *, planar: bool = False, order: str = "<", deflate: bool = False, differences: bool = False
) -> bytes:
    """Return pixels `(height, width, bands)` as a TIFF of two strips a plane, without alpha.

    Args:
        pixels: uint8, uint16, int16, int32 or float32.
        planar: Whether the bands follow each other.
        order: `"<"` for little endian, `">"` for big endian.
        deflate: Whether strips are compressed.
        differences: Whether integers are stored as differences from the pixel on the left.
    """
    height, width, bands = pixels.shape
    stored = pixels
    if differences:
        stored = np.concatenate([pixels[:, :1], pixels[:, 1:] - pixels[:, :-1]], axis=1)
    planes = np.moveaxis(stored, -1, 0)[..., np.newaxis] if planar else stored[np.newaxis]
    rows = -(-height // 2)
    strips = [
        part.astype(part.dtype.newbyteorder(order)).tobytes()
        for plane in planes
        for part in (plane[:rows], plane[rows:])
    ]
    strips = [zlib.compress(strip) if deflate else strip for strip in strips]
    offsets = np.cumsum([8, *map(len, strips)])
    tags = {
        256: [width],
        257: [height],
        258: [8 * pixels.dtype.itemsize] * bands,
        259: [8 if deflate else 1],
        262: [2 if bands >= 3 else 1],
        273: offsets[:-1].tolist(),
        277: [bands],
        278: [rows],
        279: list(map(len, strips)),
        284: [2 if planar else 1],
        317: [2 if differences else 1],
        338: [0] * (bands - 3) if bands > 3 else [0] * (bands == 2),
        339: [{"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]] * bands,
    }
    tags = {tag: values for tag, values in tags.items() if values}
    start = int(offsets[-1])
    after = start + 2 + 12 * len(tags) + 4
    entries = data = b""
    for tag, values in tags.items():
        packed = struct.pack(f"{order}{len(values)}I", *values)
        inline = packed if len(packed) == 4 else struct.pack(f"{order}I", after + len(data))
        data += b"" if len(packed) == 4 else packed
        entries += struct.pack(f"{order}HHI", tag, 4, len(values)) + inline
    header = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", start)
    directory = struct.pack(f"{order}H", len(tags)) + entries + struct.pack(f"{order}I", 0)
    return header + b"".join(strips) + directory + data
