"""Checkpoints of a training run: each is complete or not there, and the last two are kept."""

import hashlib
import io
import json
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...core.atomic_files import atomic_directory, flush_file
from ...core.documents import read_json
from ...core.errors import InputError, first_line
from ...core.input_files import check_file
from .history import History

KEPT = 2
"""Number of checkpoints: if the last one is damaged, the one before it is used."""
CHECKSUMS = "checksums.json"
NAME = re.compile(r"checkpoint-\d{5,}(-\d{7,})?")


@dataclass(frozen=True)
class Checkpoints:
    """The folders `checkpoint-EPOCHS` and `checkpoint-EPOCHS-STEPS` in the directory of a run.

    Args:
        folder: The run directory.
    """

    folder: Path

    def all(self) -> list[Path]:
        """List the checkpoints from the oldest to the newest; a user's copies, which have other names, are none."""
        found = (path for path in self.folder.glob("checkpoint-*") if NAME.fullmatch(path.name))
        return sorted(path for path in found if path.is_dir() and not path.is_symlink())

    def last(self) -> Path | None:
        """Return the newest checkpoint; None if there is none."""
        return max(self.all(), default=None)

    @contextmanager
    def new(self, history: History) -> Iterator[Path]:
        """Yield a folder for the files of a checkpoint, which is the newest one when the block ends.

        If the block raises, all checkpoints stay as they were.
        """
        steps = f"-{history.step:07}" if history.step else ""
        with atomic_directory(self.folder / f"checkpoint-{len(history):05}{steps}") as checkpoint:
            yield checkpoint
            checksums = {file.name: _sha256(file) for file in checkpoint.iterdir()}
            (checkpoint / CHECKSUMS).write_text(json.dumps(checksums, indent=1))
            for file in checkpoint.iterdir():
                flush_file(file)
        for outdated in self.all()[:-KEPT]:
            shutil.rmtree(outdated)

    def drop_damaged(self) -> list[Path]:
        """Remove the newest checkpoints as long as their files differ from what was written; return those removed.

        Raises:
            InputError: All checkpoints are damaged; then nothing is removed.
        """
        kept = self.all()
        damaged: list[Path] = []
        while kept and not _is_intact(kept[-1]):
            damaged.append(kept.pop())
        if damaged and not kept:
            raise InputError(
                f"{damaged[0]} cannot be read: its files have changed since they were written, and there is no older "
                "checkpoint that is intact; overwrite the run to start again."
            )
        for checkpoint in damaged:
            shutil.rmtree(checkpoint)
        return damaged


@contextmanager
def readable(checkpoint: Path) -> Iterator[Path]:
    """Yield the folder; raise `InputError` if the block fails to read its files."""
    try:
        yield checkpoint
    except Exception as error:  # Keras, h5py, NumPy and JSON each raise their own
        raise InputError(f"{checkpoint} cannot be read: {first_line(error)}") from error


def save_arrays(path: Path, arrays: Iterable[np.ndarray]) -> None:
    """Write arrays as an `.npz` file, at once: NumPy reports a write that fails halfway once more at a later time.

    Raises:
        OSError: The file cannot be written.
    """
    content = io.BytesIO()
    np.savez(content, *arrays)
    path.write_bytes(content.getbuffer())


def _is_intact(checkpoint: Path) -> bool:
    try:
        checksums = read_json(checkpoint / CHECKSUMS)
        files = {file.name: file for file in checkpoint.iterdir()}  # and none elsewhere, whatever the checksums name
        return all(_sha256(check_file(files[name])) == checksum for name, checksum in checksums.items())
    except (
        OSError,
        LookupError,
        ValueError,
        AttributeError,
    ):  # a file is missing or no file, or the checksums themselves are damaged
        return False


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
