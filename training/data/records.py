"""Images inside TFRecord files, each found again by where it lies: 16 bytes of memory an image.

A record is a `tf.train.Example` with an encoded image and what is to be answered to it. Order, shuffling and resuming
are those of any other source, because any record can be read at any time.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from rich.console import Console
from rich.progress import track

from ...core.errors import InputError, first_line
from ...core.outputs import by_name
from .listing import Listing, Lost, Target

LOCATION = np.dtype([("offset", "int64"), ("length", "int32"), ("shard", "int32")])
BEFORE, AFTER = 12, 4
"""Bytes of a TFRecord before its content (length and checksum) and after it (checksum)."""


@dataclass(frozen=True)
class Shard:
    """A TFRecord file."""

    path: Path
    split: str
    records: int


@dataclass(frozen=True)
class Field:
    """What an output is to answer, and under which key an example has it.

    By task: one int64, the index of the class; int64s, the indices of the labels that are there; floats, the numbers;
    or bytes, an encoded mask.
    """

    key: str
    task: str
    labels: tuple[str, ...]


class Records:
    """Files inside TFRecord files.

    Args:
        shards: The TFRecord files.
        locations: Of each file, the record that holds it: a `LOCATION`.
        key: Under which the example has it.
    """

    def __init__(self, shards: list[Path], locations: np.ndarray, key: str):
        self._shards = shards
        self._locations = locations
        self._key = key

    def __len__(self) -> int:
        """Number of files."""
        return len(self._locations)

    def name(self, row: int) -> str:
        """The shard, and where in it the record begins."""
        offset, _, shard = self._locations[row]
        return _name(self._shards[shard], offset)

    def read(self, row: int) -> bytes:
        """The content of a file."""
        offset, length, shard = self._locations[row]
        with self._shards[shard].open("rb") as file:
            file.seek(offset)
            record = file.read(length)
        try:
            return tf.train.Example.FromString(record).features.feature[self._key].bytes_list.value[0]
        except (DecodeError, IndexError) as error:
            raise InputError(f"{self.name(row)} is no longer what it was when it was loaded: {error}.") from error

    def at(self, rows: np.ndarray) -> "Records":
        """The files of these rows."""
        return Records(self._shards, self._locations[rows], self._key)


def list_records(source: str, shards: list[Shard], image: str, fields: Field | dict[str, Field]) -> Listing:
    """The images of all shards, each record read once and its checksums with it.

    What a shard lacks, because it is damaged, cut short or not there, is in `lost`, image by image.

    Args:
        source: What messages call them.
        shards: In the order of the listing.
        image: Key of the encoded image.
        fields: What is to be answered.

    Raises:
        InputError: A shard has more records than it should.
    """
    locations, values, lost = [], [], []
    console = Console(stderr=True, quiet=sum(shard.records for shard in shards) < 500)
    for number, shard in enumerate(track(shards, "Reading shards", console=console)):
        found, answers, missing = _scan(shard, image, by_name(fields))
        locations += [(*place, number) for place in found]
        values += answers
        lost += missing
    paths, where = [shard.path for shard in shards], np.array(locations, LOCATION)
    columns = dict(zip(by_name(fields), zip(*values, strict=True), strict=True)) if values else {}

    def target(name: str, field: Field) -> Target:
        if field.task == "segmentation":
            return Target(field.task, field.labels, Records(paths, where, field.key))
        kind = "int32" if field.task == "classification" else "float32"
        return Target(field.task, field.labels, np.array(columns.get(name, ()), kind))

    targets = {name: target(name, field) for name, field in by_name(fields).items()}
    splits = np.array([shard.split for shard in shards])[where["shard"]]
    return Listing(source, Records(paths, where, image), targets.get("", targets), splits, tuple(lost))


def _scan(shard: Shard, image: str, fields: dict[str, Field]) -> tuple[list, list, list[Lost]]:
    """Where the content of each record is (offset, length), its values of `fields`, and what cannot be used and why."""
    locations, values, lost = [], [], []
    offset, reason = BEFORE, ""
    try:
        for record in tf.data.TFRecordDataset(str(shard.path)).as_numpy_iterator():
            try:
                values.append(_values(record, image, fields))
                locations.append((offset, len(record)))
            except (ValueError, DecodeError) as error:
                name = _name(shard.path, offset)
                lost.append(Lost(name, shard.split, InputError(f"{name}: {error}")))
            offset += len(record) + AFTER + BEFORE
    except tf.errors.OpError as error:
        # TensorFlow's own words for these are about its graph.
        known = isinstance(error, tf.errors.DataLossError | tf.errors.NotFoundError)
        reason = "" if known else f" ({first_line(error)})"
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
    """What is to be answered, by output; None where that is a mask, which is there."""
    features = tf.train.Example.FromString(record).features.feature
    if len(features[image].bytes_list.value) != 1:
        raise ValueError(f"the record has no {image!r}.")
    return [_value(features[field.key], field) for field in fields.values()]


def _value(feature: tf.train.Feature, field: Field) -> int | np.ndarray | None:
    names = field.labels
    if field.task == "regression":
        numbers = np.array(feature.float_list.value, "float32")
        if len(numbers) != len(names) or not np.isfinite(numbers).all():
            raise ValueError(f"{field.key!r} is {numbers.tolist()}; it takes {len(names)} finite numbers.")
        return numbers
    if field.task == "segmentation":
        if len(feature.bytes_list.value) != 1:
            raise ValueError(f"the record has no {field.key!r}.")
        return None
    indices = np.array(feature.int64_list.value, "int64")
    if not ((indices >= 0) & (indices < len(names))).all() or (field.task == "classification" and len(indices) != 1):
        raise ValueError(f"{field.key!r} is {indices.tolist()}; classes go from 0 to {len(names) - 1}.")
    if field.task == "classification":
        return int(indices[0])
    return np.isin(np.arange(len(names)), indices).astype("float32")
