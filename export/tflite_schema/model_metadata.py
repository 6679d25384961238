"""Reading the standard metadata of a TFLite file, which MediaPipe and ML Kit use.

Its schema is metadata_schema.fbs of TensorFlow Lite Support, of which the numbers here are fields of its tables.
"""

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
from flatbuffers import number_types
from flatbuffers.table import Table

from ...core.errors import InputError
from ...core.limits import MODEL_PARTS, TEXT_BYTES

ENTRY = "TFLITE_METADATA"
"""Name of the buffer."""
MODEL_TEXTS = {"name": 0, "description": 1, "version": 2, "author": 4, "license": 5}
SUBGRAPHS = 3
INPUTS, OUTPUTS = 2, 3
TENSOR_NAME, TENSOR_DESCRIPTION, PROCESS_UNITS, FILES = 0, 1, 4, 6
UNIT_TYPE, UNIT, NORMALIZATION = 0, 1, 1
MEAN, DEVIATION = 0, 1
FILE_NAME, FILE_TYPE, FILE_LOCALE, AXIS_LABELS = 0, 2, 3, 2


@dataclass(frozen=True)
class TensorMetadata:
    """What the metadata says of an input or output."""

    name: str
    description: str
    mean: tuple[float, ...] = ()
    """Normalization of an image: (pixels - mean) / deviation, one value or one by channel; empty without."""
    deviation: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()
    """Names of the classes of an output."""


@dataclass(frozen=True)
class ModelMetadata:
    """Standard metadata of a file."""

    texts: dict[str, str] = field(default_factory=dict)
    """Name, description, version, author and license, as far as they are there."""
    inputs: tuple[TensorMetadata, ...] = ()
    """In the order of the graph."""
    outputs: tuple[TensorMetadata, ...] = ()


def parse_model_metadata(buffer: bytes, content: bytes) -> ModelMetadata:
    """Read the standard metadata.

    Args:
        buffer: The buffer of that name.
        content: The whole file, which may end in a zip with the labels.

    Raises:
        InputError: It is damaged, or a list of labels is larger than a limit.
    """
    try:
        start = flatbuffers.encode.Get(flatbuffers.packer.uoffset, buffer, 0)
        model = Table(bytearray(buffer), start)
        graph = next(_tables(model, SUBGRAPHS), None)
        texts = {name: _text(model, number) for name, number in MODEL_TEXTS.items()}
        tensors = [
            tuple(_tensor(table, content) for table in _tables(graph, number)) if graph else ()
            for number in (INPUTS, OUTPUTS)
        ]
    except InputError:
        raise
    except Exception as error:  # offsets that lead nowhere raise struct.error, IndexError and others
        raise InputError(f"its {ENTRY} is damaged: {type(error).__name__}.") from error
    return ModelMetadata({name: text for name, text in texts.items() if text}, *tensors)


def _tensor(table: Table, content: bytes) -> TensorMetadata:
    mean, deviation = (), ()
    for unit in _tables(table, PROCESS_UNITS):
        position = unit.Offset(_slot(UNIT_TYPE))
        if position and unit.Get(number_types.Uint8Flags, position + unit.Pos) == NORMALIZATION:
            options = _table(unit, UNIT)
            mean, deviation = _floats(options, MEAN), _floats(options, DEVIATION)
    files = [file for file in _tables(table, FILES) if _file_type(file) == AXIS_LABELS]
    files.sort(key=lambda file: bool(_text(file, FILE_LOCALE)))  # those of no language first
    labels = _labels(_text(files[0], FILE_NAME), content) if files else ()
    return TensorMetadata(_text(table, TENSOR_NAME), _text(table, TENSOR_DESCRIPTION), mean, deviation, labels)


def _labels(name: str, content: bytes) -> tuple[str, ...]:
    file = io.BytesIO(content)
    if not zipfile.is_zipfile(file):
        raise InputError(f"its metadata names the labels {name!r}, which are not in the file.")
    with zipfile.ZipFile(file) as archive:
        if name not in archive.namelist():
            raise InputError(f"its metadata names the labels {name!r}, which are not in the file.")
        TEXT_BYTES.check(archive.getinfo(name).file_size, f"its {name}")  # compression hides a thousand times its size
        return tuple(archive.read(name).decode("utf-8-sig", "replace").splitlines())


def _slot(number: int) -> int:
    return 4 + 2 * number


def _text(table: Table, number: int) -> str:
    position = table.Offset(_slot(number))
    return bytes(table.String(position + table.Pos)).decode("utf-8", "replace") if position else ""


def _file_type(table: Table) -> int:
    position = table.Offset(_slot(FILE_TYPE))
    return int(table.Get(number_types.Int8Flags, position + table.Pos)) if position else 0


def _table(table: Table, number: int) -> Table:
    position = table.Offset(_slot(number))
    return Table(table.Bytes, table.Indirect(position + table.Pos))


def _tables(table: Table, number: int) -> Iterator[Table]:
    position = table.Offset(_slot(number))
    if position:
        MODEL_PARTS.check(table.VectorLen(position), "its metadata")
        start = table.Vector(position)
        for index in range(table.VectorLen(position)):
            yield Table(table.Bytes, table.Indirect(start + 4 * index))


def _floats(table: Table, number: int) -> tuple[float, ...]:
    position = table.Offset(_slot(number))
    if not position:
        return ()
    MODEL_PARTS.check(table.VectorLen(position), "its metadata")
    values: Any = table.GetVectorAsNumpy(number_types.Float32Flags, position)
    return tuple(map(float, values))
