"""Changes of files: of bytes at random and where lengths are stored, and of the meaning of what a format stores."""

import io
import json
import random
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import flatbuffers
import onnx
from ai_edge_litert import schema_py_generated as tflite

NUMBERS = (0, 1, -1, 2, 3, 7, 127, 1000, 65537, 2**31 - 1, -(2**31))
LENGTHS = (0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**40, 2**62, 2**64 - 1)
HEADER = 4096
"""Bytes at the beginning of a file among which most lengths and offsets are."""
WORDS = (
    *("", "null", "true", "-1", "0", "1e308", ".nan", "-.inf", "9" * 5000, "[]", "{}", "&a [*a]", "*a", "2001-99-99"),
    *("!!python/name:os.system", "os.system", "0x_", "\0", "\x1b[2J", "\u202e", "é" * 1000, "../../etc/passwd"),
    *("[" * 2000, "- " * 2000),
)
"""Text in place of a value."""


def change_bytes(content: bytes, draw: random.Random) -> bytes:
    """Flip, overwrite, remove, insert, repeat, swap or clear some bytes, or end the file early."""
    data = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 4, 16))):
        if not data:
            break
        at, length = draw.randrange(len(data)), draw.randrange(1, 64)
        other = draw.randrange(len(data))
        kind = draw.randrange(9)
        if kind == 0:
            data[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            data[at : at + 4] = struct.pack(draw.choice("<>") + "i", draw.choice(NUMBERS))
        elif kind == 2:
            del data[at : at + length]
        elif kind == 3:
            data[at:at] = draw.randbytes(length)
        elif kind == 4:
            data[at : at + length] = data[other : other + length]
        elif kind == 5:
            at, other = min(at, other), max(at, other)
            data[at:other], data[other : other + length] = data[other : other + length], data[at:other]
        elif kind == 6:
            data[at : at + 16 * length] = bytes(len(data[at : at + 16 * length]))
        elif kind == 7:
            data += data[at:]
        elif draw.random() < 0.3:
            del data[at:]
    return bytes(data)


def change_lengths(content: bytes, draw: random.Random) -> bytes:
    """Overwrite a number of 2, 4 or 8 bytes, in either byte order, near the beginning or the end of the file."""
    data = bytearray(content)
    for _ in range(draw.choice((1, 1, 2))):
        code = draw.choice("HIQ")
        size = struct.calcsize(code)
        near = min(HEADER, len(data) - size)
        if near <= 0:
            break
        at = draw.randrange(near) if draw.random() < 0.7 else len(data) - size - draw.randrange(near)
        value = draw.choice(LENGTHS) % 256**size
        data[at : at + size] = struct.pack(draw.choice("<>") + code, value)
    return bytes(data)


def change_text(content: bytes, draw: random.Random) -> bytes:
    """Replace, repeat, indent, swap or remove lines, or the value after a `:` or a comma."""
    lines = content.decode(errors="surrogateescape").split("\n")
    for _ in range(draw.choice((1, 1, 2, 4))):
        at, word = draw.randrange(len(lines)), draw.choice(WORDS)
        separator = draw.choice([mark for mark in ":,=" if mark in lines[at]] or [":"])
        kind = draw.randrange(6)
        if kind == 0:
            lines[at] = lines[at].rpartition(separator)[0] + f"{separator} {word}"
        elif kind == 1:
            lines[at] = lines[at].partition(separator)[0] + f"{separator} {word}"
        elif kind == 2:
            lines[at:at] = lines[at : at + draw.randrange(1, 4)] * draw.choice((1, 2, 200))
        elif kind == 3:
            lines[at] = " " * draw.randrange(1, 8) + lines[at]
        elif kind == 4:
            del lines[at]
            lines = lines or [""]
        else:
            lines[at] = word
    return "\n".join(lines).encode(errors="surrogateescape")


def yaml_bomb(content: bytes, draw: random.Random) -> bytes:
    """Add aliases that multiply to more values than memory holds."""
    names = "abcdefghijklmnop"[: draw.randrange(3, 16)]
    lines = [f"a: &a [{','.join('x' * draw.randrange(2, 12))}]"]
    lines += [f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]" for before, name in pairwise(names)]
    return content + "\n".join(["", *lines, f"epochs: *{names[-1]}"]).encode()


def change_tflite(content: bytes, draw: random.Random) -> bytes:
    """Change the graph; the file stays complete, with its labels."""
    model = tflite.ModelT.InitFromObj(tflite.Model.GetRootAsModel(content, 0))
    graph = model.subgraphs[0]
    for _ in range(draw.choice((1, 1, 2, 3))):
        tensor, operator = draw.choice(graph.tensors), draw.choice(graph.operators)
        number = draw.choice((*NUMBERS, draw.randrange(len(graph.tensors))))
        kind = draw.randrange(6)
        if kind == 0 and tensor.shape is not None:
            tensor.shape = _changed(tensor.shape, number, draw)
        elif kind == 1:
            operator.inputs = _changed(operator.inputs, number, draw)
        elif kind == 2:
            operator.outputs = _changed(operator.outputs, number, draw)
        elif kind == 3:
            tensor.buffer = draw.randrange(len(model.buffers))
        elif kind == 4:
            tensor.type = draw.randrange(18)
        elif kind == 5 and (options := _numbers(operator.builtinOptions)):
            field, old = draw.choice(options)
            setattr(operator.builtinOptions, field, type(old)(abs(number) % 128))  # an int or a bool
        else:
            code = draw.choice(model.operatorCodes)
            code.builtinCode = draw.randrange(200)
            code.deprecatedBuiltinCode = min(127, code.builtinCode)
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output()) + content[content.index(b"PK\x03\x04") :]


def _numbers(options: object) -> list[tuple[str, int]]:
    fields = vars(options).items() if options is not None else ()
    return [(name, value) for name, value in fields if isinstance(value, int)]


def _changed(numbers: Sequence[int], number: int, draw: random.Random) -> list[int]:
    """Change, remove or add one number."""
    numbers = [int(old) for old in numbers]
    at = draw.randrange(len(numbers) + 1)
    return [*numbers[:at], *([] if draw.random() < 0.2 else [number]), *numbers[at + 1 :]]


def change_onnx(content: bytes, draw: random.Random) -> bytes:
    """Change the graph; it stays valid protobuf."""
    model = onnx.load_from_string(content)
    graph = model.graph
    names = [name for node in graph.node for name in node.output]
    for _ in range(draw.choice((1, 1, 2, 3))):
        node, tensor, number = draw.choice(graph.node), draw.choice(graph.initializer), draw.choice((*NUMBERS, 2**62))
        kind = draw.randrange(6)
        if kind == 0 and tensor.dims:
            tensor.dims[draw.randrange(len(tensor.dims))] = number
        elif kind == 1 and node.input:
            node.input[draw.randrange(len(node.input))] = draw.choice(names)
        elif kind == 2 and node.attribute:
            attribute = draw.choice(node.attribute)
            if attribute.ints:
                attribute.ints[draw.randrange(len(attribute.ints))] = number
            else:
                attribute.i = number
        elif kind == 3:
            tensor.data_type = draw.randrange(17)
        elif kind == 4:
            node.op_type = draw.choice(("Conv", "Reshape", "Gather", "Pad", "Resize", "Slice", "Loop", "If", "Scan"))
        else:
            del node.input[draw.randrange(len(node.input) + 1) :]
    return model.SerializeToString()


def change_json(content: bytes, draw: random.Random) -> bytes:
    """Replace parts of the text by other values or by pieces of itself."""
    text = json.loads(content)
    places = list(_places(text))
    for _ in range(draw.choice((1, 1, 2, 4))):
        holder, key = draw.choice(places)
        piece = json.loads(json.dumps(draw.choice(places)[0]))  # a copy, so that nothing comes to hold itself
        holder[key] = draw.choice((None, 0, -1, 2**62, 1e308, True, "x", "os", "system", "keras.utils", [], {}, piece))
        places = list(_places(text))
    return json.dumps(text).encode()


def _places(text: Any) -> Iterator[tuple[Any, Any]]:
    pairs = text.items() if isinstance(text, dict) else enumerate(text) if isinstance(text, list) else ()
    for key, value in pairs:
        yield text, key
        yield from _places(value)


def change_keras(content: bytes, draw: random.Random) -> bytes:
    """Change the config, or bytes of the weights; the zip stays valid. One in twenty inflates to a gigabyte."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    changes = (("config.json", change_json), ("model.weights.h5", change_bytes), ("model.weights.h5", change_lengths))
    name, change = draw.choice(changes)
    parts[name] = bytes(2**30) if draw.random() < 0.05 else change(parts[name], draw)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return file.getvalue()


def change_safetensors(content: bytes, draw: random.Random) -> bytes:
    """Change the header, whose length stays right, or is wrong in one of four."""
    (length,) = struct.unpack("<Q", content[:8])
    header, values = change_json(content[8 : 8 + length], draw), content[8 + length :]
    length = len(header) if draw.random() < 0.75 else draw.choice(LENGTHS)
    return struct.pack("<Q", length) + header + values


def change_png(content: bytes, draw: random.Random) -> bytes:
    """Change the data or the declared length of a chunk; the checksum is right again."""
    chunks, at = [], 8
    while at < len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    place = draw.randrange(len(chunks))
    kind, data = chunks[place]
    chunks[place] = (kind, draw.choice((change_bytes, change_lengths))(data, draw) if data else draw.randbytes(9))
    if draw.random() < 0.2:
        chunks.insert(draw.randrange(len(chunks)), draw.choice(chunks))
    pieces = [content[:8]]
    for kind, data in chunks:
        length = len(data) if draw.random() < 0.9 else draw.choice(LENGTHS) % 2**32
        pieces.append(struct.pack(">I", length) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
    return b"".join(pieces)


def change_records(content: bytes, draw: random.Random) -> bytes:
    """Change a record of a TFRecord file, or its declared length; the checksums are right again."""
    records, at = [], 0
    while at < len(content):
        (length,) = struct.unpack("<Q", content[at : at + 8])
        records.append(content[at + 12 : at + 12 + length])
        at += 16 + length
    place = draw.randrange(len(records))
    records[place] = draw.choice((change_bytes, change_lengths))(records[place], draw)
    lengths = [len(record) for record in records]
    if draw.random() < 0.4:
        lengths[place] = draw.choice(LENGTHS)
    if draw.random() < 0.2:
        records.insert(place, records[-1])
        lengths.insert(place, len(records[-1]))
    pieces = []
    for record, length in zip(records, lengths, strict=True):
        size = struct.pack("<Q", length)
        pieces.append(size + _masked_crc(size) + record + _masked_crc(record))
    return b"".join(pieces)


def _masked_crc(data: bytes) -> bytes:
    """Checksum of TFRecord files: CRC-32C, rotated by 15 bits, plus a constant."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC_TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _crc_entry(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value


_CRC_TABLE = tuple(map(_crc_entry, range(256)))
