"""Damaged and malicious files of every kind: each is read under limits, and gives a result or an InputError."""

import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py  # noqa: F401 - imported once for all forks, as are the next ones
import keras  # noqa: F401
import numpy as np
import tensorflow  # noqa: F401
from PIL import Image

from pocketzoo import export, training, zoo
from pocketzoo.core import hdf5_files
from pocketzoo.core.errors import InputError
from pocketzoo.export.artifact.tensors import concrete_shape
from pocketzoo.export.runtimes import probe
from pocketzoo.training.compression.channels.plan import ChannelPlan
from pocketzoo.training.compression.pipeline.spec import CompressionSpec
from pocketzoo.training.compression.weights.sparsity import Sparsity
from pocketzoo.training.recipe.section import read_yaml_fields
from pocketzoo.zoo.cards import load_cards
from pocketzoo.zoo.pretrained.tensor_files import read_tensors
from pocketzoo.zoo.saving import load_weights

from . import forks
from .cases import Case, Finding
from .changes import (
    change_bytes,
    change_json,
    change_keras,
    change_lengths,
    change_onnx,
    change_png,
    change_records,
    change_safetensors,
    change_text,
    change_tflite,
    yaml_bomb,
)
from .originals import SIDE, prepared

Change = Callable[[bytes, random.Random], bytes]
LIMITS = forks.Limits(cpu_seconds=60, wall_seconds=300, memory_mib=6144)
"""Most of the processor time is the start of TensorFlow. Its threads reserve addresses, which are no memory."""
MOST_MEMORY = 1024
"""MiB that reading a file of a few kilobytes may take, TensorFlow's start included."""
ANSWERED, REFUSED, RAN_CODE = 0, 2, 99
OUTCOMES = {ANSWERED: "answered", REFUSED: "refused in words"}
FOREIGN = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "pickle.find_class", "socket.connect", "ctypes.dlopen")
"""Audit events that no file may cause: starting processes, unpickling, connecting, loading libraries."""

PROBES = [[str(word) for word in command] for command in (probe.COMMAND, (sys.executable, "-P", hdf5_files.PROBE))]
"""Processes that the package itself starts, to read a file there first."""


def _predict(path: Path) -> None:
    artifact = export.load_artifact(path)
    for pixels in (0, 255):
        export.predict(artifact, np.full(concrete_shape(artifact.input.image_shape), pixels, "float32"))


def _read_image(path: Path) -> None:
    if not path.name.startswith("float"):  # of unknown range
        zoo.read_image(path, height=SIDE, width=SIDE)
    zoo.read_image(path, height=None, width=None, channels=1, dtype="float32")


def _read_data(path: Path) -> None:
    data = training.load_data(path, image_size=SIDE, on_unreadable="skip")
    data.train.images.take(np.arange(len(data.train)))


def _read_weights(path: Path) -> None:
    zoo.create_model("resnet20", blocks=1, widths=(4, 6, 8), input_shape=(SIDE, SIDE, 3), classes=4, weights=path)


def _read_keras_weights(path: Path) -> None:
    load_weights(zoo.load_model(path.with_name("net.keras")), path)


def _read_folder(path: Path) -> None:
    _read_data(path.parent)


def _read_sparsity(path: Path) -> None:
    Sparsity(**read_yaml_fields(path, "settings file"))


def _read_cards(path: Path) -> None:
    load_cards(path.parent)


@dataclass(frozen=True)
class FileKind:
    """A kind of file: how it is changed, and how it is read."""

    name: str
    original: str
    """Path below the folder of originals."""
    changes: tuple[Change, ...]
    """In addition to those of bytes."""
    use: Callable[[Path], Any]
    weight: int
    """How many of 200 files are of this kind."""
    beside: str = ""
    """File or folder that is copied with it."""


IMAGES = (
    *("color.png", "color.jpg", "color.bmp", "color.webp", "color.gif", "color.tiff", "color.avif", "gray.jpg"),
    *("transparent.png", "transparent.webp", "palette.png", "cmyk.jpg", "sixteen.png", "float.tiff", "deflate.tiff"),
    *("exif.jpg", "frames.gif"),
)
TEXT, JSON, YAML = (change_text,), (change_json, change_text), (change_text, change_text, yaml_bomb)
KINDS = (
    *(
        FileKind(f"image {name}", f"pictures/{name}", (change_png,) if name.endswith(".png") else (), _read_image, 6)
        for name in IMAGES
    ),
    FileKind(".tflite uint8", "bundle/resnet20-uint8.tflite", (change_tflite,), _predict, 4),
    FileKind(".tflite", "bundle/resnet20-fp32.tflite", (change_tflite,), _predict, 4),
    FileKind(".onnx int8", "bundle/resnet20-int8.onnx", (change_onnx,), _predict, 4),
    FileKind(".onnx", "bundle/resnet20-fp32.onnx", (change_onnx,), _predict, 4),
    FileKind("manifest.json", "bundle/manifest.json", JSON, export.Manifest.load, 6),
    FileKind(".keras", "net.keras", (change_keras,), _predict, 8),
    FileKind(".h5 model", "model2.h5", (), zoo.load_model, 4),
    FileKind(".weights.h5", "net.weights.h5", (), _read_keras_weights, 4, "net.keras"),
    FileKind("legacy .h5 weights", "weights2.h5", (), read_tensors, 8),
    FileKind(".safetensors tensors", "net.safetensors", (change_safetensors,), read_tensors, 6),
    FileKind(".safetensors weights", "net.safetensors", (change_safetensors,), _read_weights, 4),
    FileKind("TFRecord shard", "shards/train-00000.tfrecord", (change_records,), _read_folder, 6),
    FileKind("shards.json", "shards/shards.json", JSON, _read_folder, 4),
    FileKind("recipe", "recipe.yaml", YAML, training.Recipe.load, 8),
    FileKind("compression spec", "spec.yaml", YAML, CompressionSpec.load, 6),
    FileKind("sparsity settings", "sparsity.yaml", YAML, _read_sparsity, 4),
    FileKind("channel plan", "plan.json", JSON, ChannelPlan.load, 4),
    FileKind("table of labels", "labels.csv", TEXT, _read_data, 4, "classes"),
    FileKind("table of numbers", "numbers.csv", TEXT, _read_data, 2, "classes"),
    FileKind("label file", "segmentation/labels.txt", TEXT, _read_folder, 2),
    FileKind("card", "lenet.toml", TEXT, _read_cards, 4),
)


def cases(count: int, seed: int, folder: Path, files: Sequence[Path] | None = None) -> Iterator[Case]:
    """Yield one case per changed file, after one per unchanged file; `files` are changed instead of the originals."""
    Image.init()
    originals = prepared(folder)
    schedule = [_kind_of(file) for file in files] if files else _schedule()
    for index, kind in enumerate(dict.fromkeys(schedule)):
        name = f"mutations-whole-{index}-{Path(kind.original).name}"
        yield Case(name, "unchanged files", Attempt(kind, originals, "whole", seed))
    for number in range(count):
        kind = schedule[number % len(schedule)]
        name = f"mutations-{number}-{Path(kind.original).name}"
        yield Case(name, kind.name, Attempt(kind, originals, name, seed))


def _schedule() -> list[FileKind]:
    """All kinds as often as their weight says, evenly mixed."""
    places = [((index + 0.5) / kind.weight, kind.name, kind) for kind in KINDS for index in range(kind.weight)]
    return [kind for *_, kind in sorted(places, key=lambda place: place[:2])]


def _kind_of(file: Path) -> FileKind:
    """The kind of a file of the user's."""
    suffix = file.suffix
    changes = next((kind.changes for kind in KINDS if kind.original.endswith(suffix)), ())
    use = export.Manifest.load if suffix == ".json" else _predict
    return FileKind(suffix, str(file.resolve()), changes, use, 1)


@dataclass(frozen=True)
class Attempt:
    """One changed file."""

    kind: FileKind
    originals: Path
    name: str
    seed: int

    def __call__(self, folder: Path) -> Finding:
        """Write the file and read it in a fork."""
        draw = random.Random(f"{self.seed} {self.name}")
        original = self.originals / self.kind.original
        # What belongs to the file is found from it, so it lies beside it as in the original folder.
        path = folder / "file" / original.name
        if original.parent == self.originals or self.kind.original.startswith(("pictures/", "bundle/", "/")):
            path.parent.mkdir()
        else:
            shutil.copytree(original.parent, path.parent)
        if self.kind.beside:
            (path.parent / self.kind.beside).symlink_to(self.originals / self.kind.beside)
        is_whole = self.name == "whole"
        change = draw.choice((change_bytes, change_lengths, *self.kind.changes, *self.kind.changes))
        path.write_bytes(original.read_bytes() if is_whole else change(original.read_bytes(), draw))
        ending = forks.call(lambda: _use(self.kind.use, path), folder / "log", folder, LIMITS)
        if is_whole and ending.status == REFUSED:
            return Finding("fault", f"{self.kind.name} is refused as it is")
        return _judge(ending, folder / "log", change)


def _judge(ending: forks.Ending, log: Path, change: Change) -> Finding:
    fault = ""
    if ending.status == RAN_CODE:
        fault = "it started a process, unpickled, connected or loaded a library"
    elif ending.status not in OUTCOMES:
        fault = f"{ending.sentence}: {(log.read_text(errors='replace').strip().splitlines() or [''])[-1][:200]}"
    elif ending.memory_mib > MOST_MEMORY:
        fault = f"took {ending.memory_mib:.0f} MiB"
    fault = fault and f"{change.__name__}: {fault}"
    return Finding(OUTCOMES.get(ending.status, "fault"), fault, ending.cpu_seconds)


def _use(use: Callable[[Path], Any], path: Path) -> int:
    sys.addaudithook(_watch)
    try:
        use(path)
    except InputError:
        return REFUSED
    return ANSWERED


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    probes = event == "subprocess.Popen" and list(map(str, arguments[1][:3])) in PROBES
    if event in FOREIGN or (event == "subprocess.Popen" and not probes):
        print(event, arguments, file=sys.stderr, flush=True)
        os._exit(RAN_CODE)
