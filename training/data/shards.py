"""TFRecord shards: the files of a dataset packed into few large ones, with an index that describes them.

A shard is named after its split, as in `train-00007.tfrecord`. A record is a `tf.train.Example` with the unchanged file
of an image, under the keys that are usual in TensorFlow; those of several outputs begin with the output's name, as in
`road/segmentation/class/encoded`. The index, `shards.json`, has tasks, labels and the number of images in each shard.
"""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Annotated, Self, cast

import tensorflow as tf
from pydantic import AfterValidator, BaseModel, ConfigDict, PositiveInt, ValidationError, model_validator
from rich.progress import track

from ...core.arguments import check_arguments
from ...core.atomic_files import UNFINISHED, atomic_path, remove_abandoned
from ...core.errors import InputError, describe, report_write_errors
from ...core.file_lock import hold_lock
from ...core.input_files import read_file
from ...core.limits import TEXT_BYTES
from ...core.outputs import by_name
from ...core.safe_console import SafeConsole
from ...core.work_directory import LOCK
from ...tasks.registry import get_task
from ...tasks.task import Task
from ...zoo.image_files import Dtype
from ...zoo.pixel_range import Range
from ..tensorflow_files import tensorflow_write_errors
from .file_targets import FileTargets
from .images import FileImages, ImageData, ImageSplit, Targets
from .listing import Listing
from .records import Field, Shard, list_records
from .splitting import SPLIT_NAMES, SPLITS

INDEX = "shards.json"
BEGUN = f"{UNFINISHED}shards"
"""Marks a folder that was empty, until its shards are complete: what a killed process has left can be told from the
shards of others."""
IMAGE, FILE_NAME = "image/encoded", "image/filename"


def _check_task(name: str) -> str:
    if not get_task(name).has_targets:
        raise ValueError(f"an {name} has no targets")
    return name


TaskName = Annotated[str, AfterValidator(_check_task)]
Labels = tuple[str, ...]


class ShardIndex(BaseModel):
    """Index of a folder of shards."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: TaskName | dict[str, TaskName]
    labels: Labels | dict[str, Labels]
    shards: dict[str, PositiveInt]
    """Number of images by name of the file."""
    ignore: int | None = None
    """Label of the pixels of masks that have no class."""
    dtype: Dtype | None = None
    """Dtype of the pixels; None where it is not stated."""
    pixel_range: Range | None = None
    """Lowest and highest value that pixels of this dtype may have; None where it is not stated."""

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if by_name(self.task).keys() != by_name(self.labels).keys():
            raise ValueError("task and labels are of different outputs")
        for name in self.shards:
            if Path(name).name != name or name.partition("-")[0] not in SPLIT_NAMES:
                raise ValueError(f"{name!r} is not the name of a shard, such as train-00000.tfrecord")
        if "train" not in map(_split_of, self.shards):
            raise ValueError("there is no shard of train")
        return self


def list_shards(folder: Path) -> Listing:
    """Return the images of the shards in `folder`, which has an index.

    Raises:
        InputError: The index is invalid, or the shards have more images than it says, or lack more than a limit.
    """
    path = folder / INDEX
    try:
        index = ShardIndex.model_validate_json(read_file(path, TEXT_BYTES))
    except ValidationError as error:
        raise InputError(f"{path}: {describe(error)}.") from error
    shards = [Shard(folder / name, _split_of(name), count) for name, count in index.shards.items()]
    tasks, labels = by_name(index.task), by_name(index.labels)
    fields = {output: Field(_key(output, get_task(task)), task, labels[output]) for output, task in tasks.items()}
    listing = list_records(str(folder), shards, IMAGE, fields.get("", fields)).with_ignore(index.ignore)
    return replace(listing, dtype=index.dtype, pixel_range=index.pixel_range)


@check_arguments
def write_shards(data: ImageData, folder: str | Path, *, shard_mb: float = 100) -> ShardIndex:
    """Packs the unchanged files of `data` into shards; `load_data(folder)` returns the same dataset.

    No shard is ever half written, and the index is written last: without it the folder is not a dataset.

    Args:
        data: Images in files: of a folder, a table, or shards.
        folder: Folder to write to; it must be empty or not exist.
        shard_mb: Size at which a shard ends, in megabytes (10**6 bytes).

    Raises:
        InputError: `data` is in memory, the folder is not empty, or `shard_mb` is not a positive number.
    """
    folder = Path(folder)
    if not isinstance(data.train.images, FileImages):
        raise InputError(f"{data.source} is not made of files; shards are written from a folder, a table or shards.")
    if not 0 < shard_mb < math.inf:
        raise InputError(f"shard_mb is {shard_mb}; it takes a number of megabytes above 0.")
    with _empty_folder(folder):
        counts: dict[str, int] = {}
        for name in SPLITS:
            counts |= _write_split(name, getattr(data, name), folder, shard_mb * 1e6)
        index = ShardIndex(
            task=data.task,
            labels=data.labels,
            shards=counts,
            ignore=data.ignore,
            dtype=cast(Dtype, data.dtype),
            pixel_range=data.pixel_range,
        )
        with atomic_path(folder / INDEX) as temporary:
            temporary.write_text(index.model_dump_json(indent=1, exclude_none=True), encoding="utf-8")
    return index


@contextmanager
def _empty_folder(folder: Path) -> Iterator[None]:
    """Make `folder`, or use it if it is empty, for this process alone; a block that raises leaves it empty.

    Shards that a process that was killed has left there are removed.
    """
    with report_write_errors(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
    busy = f"{folder} is in use by another process"
    with hold_lock(folder / LOCK, what=str(folder), busy=busy):
        remove_abandoned(folder)
        mark = folder / BEGUN
        if mark.exists():
            _remove_shards(folder)
            mark.unlink()
        if any(entry.name != LOCK for entry in folder.iterdir()):
            raise InputError(f"{folder} is not empty; shards are written into an empty folder.")
        with report_write_errors(str(folder)):
            mark.touch()
        try:
            yield
        except BaseException:
            _remove_shards(folder)
            raise
        finally:
            mark.unlink(missing_ok=True)


def _remove_shards(folder: Path) -> None:
    if (folder / INDEX).exists():  # complete
        return
    for name in SPLITS:
        for shard in folder.glob(f"{name}-[0-9][0-9][0-9][0-9][0-9].tfrecord"):
            shard.unlink()


def _write_split(name: str, split: ImageSplit, folder: Path, most: float) -> dict[str, int]:
    """Return the number of images in each of the shards that were written."""
    console = SafeConsole(stderr=True, quiet=len(split) < 500)
    rows = iter(track(range(len(split)), f"Writing {name}", console=console))
    counts: dict[str, int] = {}
    for first in rows:
        shard = f"{name}-{len(counts):05}.tfrecord"
        with atomic_path(folder / shard) as temporary:
            counts[shard] = _write_shard(temporary, split, chain([first], rows), most)
    return counts


def _write_shard(path: Path, split: ImageSplit, rows: Iterator[int], most: float) -> int:
    """Writes rows until the shard has `most` bytes; returns their number."""
    size = count = 0
    with tensorflow_write_errors(), tf.io.TFRecordWriter(str(path)) as writer:
        for row in rows:
            record = _example(split, row).SerializeToString()
            writer.write(record)
            size, count = size + len(record), count + 1
            if size >= most:
                break
    return count


def _example(split: ImageSplit, row: int) -> tf.train.Example:
    name = os.fsencode(Path(split.images.files.name(row)).name)
    features = {IMAGE: _bytes(split.images.files.read(row)), FILE_NAME: _bytes(name)}
    targets = by_name(split.labels)
    for output, task in ((output, get_task(name)) for output, name in by_name(split.tasks).items()):
        features[_key(output, task)] = _feature(targets[output], task, row)
    return tf.train.Example(features=tf.train.Features(feature=features))


def _feature(targets: Targets, task: Task, row: int) -> tf.train.Feature:
    if isinstance(targets, FileTargets):
        return _bytes(targets.files.read(row))
    if task.in_files:
        return _bytes(task.encode_file(targets[row]))
    values = task.encode(targets[row])
    if values.dtype.kind == "f":
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _key(output: str, task: Task) -> str:
    return f"{output or 'image'}/{task.feature_key}"


def _split_of(shard: str) -> str:
    return SPLIT_NAMES[shard.partition("-")[0]]
