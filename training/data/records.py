"""Images inside TFRecord files, found by their position: 16 bytes of memory for each image.

A record is a `tf.train.Example` with an encoded image and its targets. Order, shuffling and resuming are those of any
other source, because any record can be read at any time.
"""

import io
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from rich.progress import track

from ...core.errors import InputError, first_line
from ...core.input_files import check_file
from ...core.limits import IMAGE_BYTES, MISSING_RECORDS
from ...core.outputs import by_name
from ...core.safe_console import SafeConsole
from ...tasks.registry import get_task
from .listing import Listing, Lost, Target

LOCATION = np.dtype([("offset", "int64"), ("length", "int32"), ("shard", "int32")])
HEADER = struct.Struct("<QI")
"""Length of a TFRecord, and checksum of the length."""
BEFORE, AFTER = HEADER.size, 4
"""Bytes of a TFRecord before its content, and after it (checksum)."""


@dataclass(frozen=True)
class Shard:
    """A TFRecord file."""

    path: Path
    split: str
    records: int


@dataclass(frozen=True)
class Field:
    """Targets of an output, and their key in an example.

    By task: one int64, the index of the class; int64s, the indices of the labels that are present; floats, the numbers;
    or bytes, an encoded mask.
    """

    key: str
    task: str
    labels: tuple[str, ...]


class Records:
    """Files inside TFRecord files.

    Args:
        shards: The TFRecord files.
        locations: Position of the record with each file: a `LOCATION`.
        key: Key of the file in the example.
    """

    def __init__(self, shards: list[Path], locations: np.ndarray, key: str):
        self._shards = shards
        self._locations = locations
        self._key = key

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self._locations)

    def name(self, row: int) -> str:
        """Return the shard, and the position of the record in it."""
        offset, _, shard = self._locations[row]
        return _name(self._shards[shard], offset)

    def read(self, row: int) -> bytes:
        """Return the content of a file."""
        offset, length, shard = self._locations[row]
        with self._shards[shard].open("rb") as file:
            file.seek(offset)
            record = file.read(length)
        try:
            return tf.train.Example.FromString(record).features.feature[self._key].bytes_list.value[0]
        except (DecodeError, IndexError) as error:
            raise InputError(f"{self.name(row)} has changed since it was listed: {error}.") from error

    def open(self, row: int) -> IO[bytes]:
        """Return the content of a file as a stream."""
        return io.BytesIO(self.read(row))

    def at(self, rows: np.ndarray) -> "Records":
        """Return the files of these rows."""
        return Records(self._shards, self._locations[rows], self._key)


def list_records(source: str, shards: list[Shard], image: str, fields: Field | dict[str, Field]) -> Listing:
    """Return the images of all shards; each record is read once and its checksums verified.

    Images that a shard lacks, because it is damaged, cut short or missing, are in `lost`. TensorFlow reserves as much
    memory as a record says it has, so it only gets records that fit into their file.

    Args:
        source: Name of the source in messages.
        shards: Shards in the order of the listing.
        image: Key of the encoded image.
        fields: Targets of the outputs.

    Raises:
        InputError: A shard has more records than it should, or shards lack more than a limit.
    """
    locations, values, lost = [], [], list[Lost]()
    console = SafeConsole(stderr=True, quiet=sum(shard.records for shard in shards) < 500)
    for number, shard in enumerate(track(shards, "Reading shards", console=console)):
        whole, reason = _whole_records(shard)
        if (lacking := len(lost) + shard.records - whole) > MISSING_RECORDS.value:
            raise MISSING_RECORDS.refusal(
                f"{shard.path} has {whole:,} of the {shard.records:,} records that it should have, so "
                f"{lacking:,} are missing"
            )
        found, targets, missing = _scan(shard, whole, reason, image, by_name(fields))
        locations += [(*location, number) for location in found]
        values += targets
        lost += missing
    paths, where = [shard.path for shard in shards], np.array(locations, LOCATION)
    columns = dict(zip(by_name(fields), zip(*values, strict=True), strict=True)) if values else {}

    def target(name: str, field: Field) -> Target:
        task = get_task(field.task)
        if task.in_files:
            return Target(field.task, field.labels, Records(paths, where, field.key))
        return Target(field.task, field.labels, task.stack(columns.get(name, ())))

    targets = {name: target(name, field) for name, field in by_name(fields).items()}
    splits = np.array([shard.split for shard in shards])[where["shard"]]
    return Listing(source, Records(paths, where, image), targets.get("", targets), splits, tuple(lost))


def _whole_records(shard: Shard) -> tuple[int, str]:
    """Return how many records a shard has as far as their lengths are whole, and what is wrong after them.

    It counts up to one more than the shard should have.
    """
    count, offset = 0, 0
    try:
        with check_file(shard.path).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            while offset < size and count <= shard.records:
                file.seek(offset)
                length, checksum = HEADER.unpack(file.read(BEFORE).ljust(BEFORE, b"\0"))
                if checksum != _masked_checksum(length):
                    break
                if length > IMAGE_BYTES.value:
                    return count, f" ({IMAGE_BYTES.refusal(f'the next one says it has {length:,} bytes')})"
                offset += BEFORE + length + AFTER
                count += offset <= size
    except (InputError, OSError) as error:
        return count, f" ({first_line(error)})" if shard.path.exists() else ""
    return count, ""


def _masked_checksum(length: int) -> int:
    """Return the CRC-32C of a length as TFRecord files store it (tensorflow/core/lib/hash/crc32c.h)."""
    crc = 0xFFFFFFFF
    for byte in length.to_bytes(8, "little"):
        crc = CRC32C[(crc ^ byte) & 255] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return (crc >> 15 | crc << 17) + 0xA282EAD8 & 0xFFFFFFFF


def _crc32c_of_byte(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


CRC32C = tuple(map(_crc32c_of_byte, range(256)))


def _scan(shard: Shard, whole: int, reason: str, image: str, fields: dict[str, Field]) -> tuple[list, list, list[Lost]]:
    """Return the position of each record's content (offset, length), its values of `fields`, and lost images."""
    locations, values, lost = [], [], []
    offset = BEFORE
    try:
        for record in tf.data.TFRecordDataset(str(shard.path)).take(whole).as_numpy_iterator() if whole else ():
            try:
                values.append(_values(record, image, fields))
                locations.append((offset, len(record)))
            except (ValueError, DecodeError) as error:
                name = _name(shard.path, offset)
                lost.append(Lost(name, shard.split, InputError(f"{name}: {error}")))
            offset += len(record) + AFTER + BEFORE
    except tf.errors.OpError as error:
        # TensorFlow's messages for these are about its graph.
        known = isinstance(error, tf.errors.DataLossError | tf.errors.NotFoundError)
        reason = reason if known else f" ({first_line(error)})"
    read = len(values) + len(lost)
    if read > shard.records:
        raise InputError(f"{shard.path} has more than the {shard.records} records that it should have.")
    damage = InputError(
        f"{shard.path} is damaged, cut short or gone after {read} of its {shard.records} records{reason}."
    )
    lost += [Lost(f"{shard.path} (record {n + 1})", shard.split, damage) for n in range(read, shard.records)]
    return locations, values, lost


def _name(shard: Path, offset: int) -> str:
    return f"{shard} (at byte {offset})"


def _values(record: bytes, image: str, fields: dict[str, Field]) -> list:
    """Return the targets by output; None for a target in a file, which is present."""
    features = tf.train.Example.FromString(record).features.feature
    if len(features[image].bytes_list.value) != 1:
        raise ValueError(f"the record has no {image!r}.")
    return [_value(features[field.key], field) for field in fields.values()]


def _value(feature: tf.train.Feature, field: Field) -> int | np.ndarray | None:
    task = get_task(field.task)
    if task.in_files:
        if len(feature.bytes_list.value) != 1:
            raise ValueError(f"the record has no {field.key!r}.")
        return None
    is_float = feature.WhichOneof("kind") == "float_list"
    values = np.array(feature.float_list.value, "float32") if is_float else np.array(feature.int64_list.value, "int64")
    try:
        return task.decode(values, len(field.labels))
    except ValueError as error:
        raise ValueError(f"{field.key!r} {error}") from None
