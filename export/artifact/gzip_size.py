"""How large a file is on its way to a device."""

import zlib
from concurrent.futures import ThreadPoolExecutor

PIECE = 2**22
DENSE = 0.85
"""Share of a piece that is left by codes for single bytes; above it, repetitions are not worth a search."""
GZIP, MEMORY = 31, 9
"""zlib's way to say that a gzip member is wanted, and the most memory for its codes."""


def gzipped_size(content: bytes) -> int:
    """Bytes of `content` gzipped, in members of 4 MB, which processors compress side by side."""
    return sum(map(len, gzipped(content)))


def gzipped(content: bytes) -> list[bytes]:
    """The members."""
    pieces = [content[start : start + PIECE] for start in range(0, len(content), PIECE)]
    with ThreadPoolExecutor() as pool:
        return list(pool.map(_member, pieces))


def _member(piece: bytes) -> bytes:
    """As `gzip` makes it by default, but weights in floats, of which next to nothing repeats, are not searched.

    The search takes three times as long then and changes their size by less than a hundredth.
    """
    by_frequency = _compressed(piece, zlib.Z_HUFFMAN_ONLY)
    if len(by_frequency) > DENSE * len(piece):
        return by_frequency
    return _compressed(piece, zlib.Z_DEFAULT_STRATEGY)


def _compressed(piece: bytes, strategy: int) -> bytes:
    compressor = zlib.compressobj(zlib.Z_DEFAULT_COMPRESSION, zlib.DEFLATED, GZIP, MEMORY, strategy)
    return compressor.compress(piece) + compressor.flush()
