"""Tables of flatbuffer schemas for which no package has generated code. Imports no TensorFlow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import flatbuffers
import numpy as np


@dataclass(frozen=True)
class Number:
    """A number in a field of its own, as the schema declares it."""

    kind: Literal["Int8", "Uint8", "Int32", "Uint32"]
    value: int


Table = Mapping[int, Any]
"""The fields of a table by their places in the schema, where a union takes two: its type and its table. A value is a
`Number`, a string, bytes, another table, a list of floats, or a list of tables."""


def pack_table(table: Table, identifier: bytes) -> bytes:
    """Serialize a table as a file.

    Args:
        table: The root of the file.
        identifier: The four bytes that name the schema.
    """
    builder = flatbuffers.Builder(1024)
    builder.Finish(_write_table(builder, table), file_identifier=identifier)
    return bytes(builder.Output())


def _write_table(builder: flatbuffers.Builder, table: Table) -> int:
    """Return the place of a table, which is written after everything that it refers to."""
    written = {
        field: value if isinstance(value, Number) else _write_value(builder, value) for field, value in table.items()
    }
    builder.StartObject(max(table, default=-1) + 1)
    for field, value in written.items():
        if isinstance(value, Number):
            getattr(builder, f"Prepend{value.kind}Slot")(field, value.value, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(field, value, 0)
    place: int = builder.EndObject()
    return place


def _write_value(builder: flatbuffers.Builder, value: Any) -> int:
    if isinstance(value, Mapping):
        return _write_table(builder, value)
    if isinstance(value, str):
        return int(builder.CreateString(value))
    if isinstance(value, bytes):
        return int(builder.CreateByteVector(value))
    if isinstance(value[0], float):
        return int(builder.CreateNumpyVector(np.array(value, "float32")))
    return _write_tables(builder, value)


def _write_tables(builder: flatbuffers.Builder, tables: Sequence[Table]) -> int:
    places = [_write_table(builder, table) for table in tables]
    builder.StartVector(4, len(places), 4)
    for place in reversed(places):
        builder.PrependUOffsetTRelative(place)
    return int(builder.EndVector())
