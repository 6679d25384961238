"""Command lines that write something, their uninterrupted results, and the comparison with these."""

import hashlib
import io
import json
import os
import re
import shutil
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import keras  # noqa: F401 - imported once for all forks, as are the next ones
import numpy as np
import onnx
import sklearn.datasets  # noqa: F401
import tensorflow  # noqa: F401

from pocketzoo import training, zoo  # noqa: F401
from pocketzoo.cli.main import main
from pocketzoo.core.atomic_files import UNFINISHED

from . import forks
from .originals import SIDE

BRIEF = "--set epochs=4 --set batch_size=4 --set checkpoint_steps=2"
TRAINING = f"--data ORIGINALS/classes --run-dir run {BRIEF}"
COMMANDS = {
    "train": f"train lenet5 {TRAINING} --image-size {SIDE} --set optimizer.ema=0.9",
    "cross-validation": f"train lenet5 {TRAINING} --image-size {SIDE} --set folds=2",
    "fine-tune": f"fine-tune ORIGINALS/lenet.keras {TRAINING} --set head_epochs=2",
    "distill": f"distill ORIGINALS/lenet.keras ORIGINALS/lenet.keras {TRAINING}",
    "prune": f"prune ORIGINALS/lenet.keras {TRAINING} --sparsity 0.7",
    "prune-channels": f"prune-channels ORIGINALS/lenet.keras {TRAINING} --steps 2 --round-to 1",
    "cluster": f"cluster ORIGINALS/lenet.keras {TRAINING} --clusters 8",
    "quantize": f"quantize ORIGINALS/lenet.keras {TRAINING}",
    "compress": "compress ORIGINALS/lenet.keras --data ORIGINALS/classes --spec ORIGINALS/stages.yaml --run-dir run",
    "find-lr": f"find-lr lenet5 --data ORIGINALS/classes --image-size {SIDE} --set batch_size=4 --plot plot.png",
    "sensitivity": "prune ORIGINALS/lenet.keras --data ORIGINALS/classes --sensitivity settings.yaml",
    "report": "evaluate ORIGINALS/lenet.keras --data ORIGINALS/classes --report report",
    "shards": "shards ORIGINALS/classes shards --shard-mb 0.002",
    "export": "export ORIGINALS/lenet.keras --out bundle --targets mobile-cpu,gpu --data ORIGINALS/classes"
    " --bar agreement=0 --bar relative_difference=10",
    "quickstart": "quickstart --fast --out quickstart",
}
RESUMED = (
    *(
        "train",
        "cross-validation",
        "fine-tune",
        "distill",
        "prune",
        "prune-channels",
        "cluster",
        "quantize",
        "compress",
    ),
)
"""Commands that continue with `--resume`; `export` replaces with `--overwrite`, the others are repeated as they are."""
TIMES = ("environment.json", "manifest.json", "report.md", "README.md", "curves.png", "plot.png", "comparison.json")
"""Files with times, latencies, or pictures of them: that they are there is all that is compared."""


@dataclass(frozen=True)
class Reference:
    """A run without interruption."""

    folder: Path
    cpu_seconds: float
    unfinished: int
    """How many temporary files and folders were seen."""
    peak_bytes: int
    """Most space that the files took at once, as far as it was seen."""
    largest_bytes: int
    """Size of the largest file."""


@dataclass(frozen=True)
class Command:
    """A command line in a folder."""

    verb: str
    originals: Path

    def start(self, folder: Path, limits: forks.Limits = forks.NORMAL, *, again: bool = False) -> int:
        """Start it in a fork, to begin with or `again` after it was interrupted; return the process."""
        words = COMMANDS[self.verb].replace("ORIGINALS", str(self.originals)).split()
        if again:
            words += ["--resume"] if self.verb in RESUMED else ["--overwrite"] if self.verb == "export" else []

        def run() -> None:
            sys.argv = ["pocketzoo", *words]
            main()

        return forks.start(run, log_of(folder, again), folder, limits)


def log_of(folder: Path, again: bool) -> Path:
    """The file beside `folder` that has what the command printed."""
    return folder.with_name(f"{folder.name}-{'again' if again else 'first'}.log")


def reference_of(command: Command, folder: Path) -> Reference:
    """Run a command without interruption, once; later starts find what it wrote."""
    own = folder / "references" / command.verb
    facts = own.with_suffix(".json")
    if not facts.exists():
        shutil.rmtree(own, ignore_errors=True)
        own.mkdir(parents=True)
        log_of(own, again=False).unlink(missing_ok=True)
        process = command.start(own)
        seen: set[Path] = set()
        peak = 0
        while (ending := forks.ended(process)) is None:
            seen |= set(unfinished(own))
            peak = max(peak, sum(size for _, size in _files(own)))
            time.sleep(0.002)
        if ending.status:
            sys.exit(f"{command.verb} without interruption: {ending.sentence}\n{log_of(own, again=False).read_text()}")
        sizes = [size for _, size in _files(own)]
        figures = (ending.cpu_seconds, len(seen), max(peak, sum(sizes)), max(sizes))
        facts.write_text(json.dumps(figures))
    return Reference(own, *json.loads(facts.read_text()))


def unfinished(folder: Path) -> Iterator[Path]:
    """Yield what is being written below a folder; it may be gone."""
    for name, _ in _files(folder, folders=True):
        if name.name.startswith(UNFINISHED) and not name.name.endswith("lock"):
            yield name


def _files(folder: Path, folders: bool = False) -> Iterator[tuple[Path, int]]:
    """Yield all files, and their sizes, below a folder that another process changes."""
    for parent, names, files in os.walk(folder):
        for name in files + (names if folders else []):
            try:
                yield Path(parent, name), os.lstat(f"{parent}/{name}").st_size
            except OSError:
                continue


def differences(reference: Path, folder: Path) -> str:
    """Describe what differs from the folder of a run without interruption; empty if nothing that counts does."""
    expected, found = (_contents(root) for root in (reference, folder))
    if expected.keys() != found.keys():
        return f"missing or left over: {sorted(expected.keys() ^ found.keys())}"
    return ", ".join(name for name in expected if expected[name] != found[name])


def _contents(root: Path) -> dict[str, object]:
    names = [str(path.relative_to(root)) for path, _ in _files(root)]
    return {name: _content(root / name) for name in sorted(names) if "tensorboard" not in name}


def _content(path: Path) -> object:
    """What is compared of a file: arrays bit for bit, text, or a hash."""
    if path.name in TIMES or path.parent.name == "comparison" or path.suffix in (".png", ".svg"):
        return None
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            # The numbers of shared objects are addresses in memory.
            config = re.sub(r'"shared_object_id": \d+', "", archive.read("config.json").decode())
            return config, _arrays(io.BytesIO(archive.read("model.weights.h5")))
    if path.suffix == ".tflite":  # without the certificate, which has latencies
        return path.read_bytes().partition(b"PK\3\4")[0]
    if path.suffix == ".onnx":  # tf2onnx numbers folded constants in no fixed order
        graph = onnx.load(path).graph
        constants = sorted((list(constant.dims), constant.raw_data) for constant in graph.initializer)
        return [(node.op_type, str(node.attribute)) for node in graph.node], constants
    if path.suffix == ".h5":
        return _arrays(path)
    if path.suffix == ".npz":
        return {name: values.tobytes() for name, values in np.load(path).items()}
    if path.name == "checksums.json":  # of files that contain times
        return sorted(json.loads(path.read_text()))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _arrays(file: Path | io.BytesIO) -> dict[str, bytes]:
    found: dict[str, bytes] = {}

    def add(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = np.asarray(item[()]).tobytes()

    with h5py.File(file) as content:
        content.visititems(add)
    return found


def damaged_checkpoints(folder: Path) -> list[str]:
    """Name the checkpoints, and the models, that are there and are not whole."""
    damaged = []
    for checksums in folder.rglob("checkpoint-*/checksums.json"):
        if not checksums.parent.name.startswith(UNFINISHED):
            for name, expected in json.loads(checksums.read_text()).items():
                file = checksums.parent / name
                if not file.exists() or hashlib.sha256(file.read_bytes()).hexdigest() != expected:
                    damaged.append(str(file.relative_to(folder)))
    models = [path for path in folder.rglob("*.keras") if not path.name.startswith(UNFINISHED)]
    damaged += [str(path.relative_to(folder)) for path in models if not _is_whole(lambda path=path: _content(path))]
    return damaged


def _is_whole(read: Callable[[], object]) -> bool:
    try:
        read()
    except Exception:
        return False
    return True


def checkpoints(folder: Path) -> list[str]:
    """Name all complete checkpoints below a folder."""
    found = [path.relative_to(folder) for path in folder.rglob("checkpoint-*") if path.is_dir()]
    return sorted(str(path) for path in found if not any(part.startswith(UNFINISHED) for part in path.parts))
