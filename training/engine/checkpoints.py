"""Checkpoints of a run: each is whole or not there, and the last two are kept."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ...core.atomic_files import UNFINISHED
from ...core.errors import InputError, first_line
from .history import History

KEPT = 2
"""Checkpoints: should the last one turn out damaged, there is the one before it."""
CHECKSUMS = "checksums.json"


@dataclass(frozen=True)
class Checkpoints:
    """The folders `checkpoint-EPOCHS` and `checkpoint-EPOCHS-STEPS` in the directory of a run."""

    folder: Path

    def all(self) -> list[Path]:
        """From the oldest to the newest."""
        return sorted(path for path in self.folder.glob("checkpoint-*") if path.is_dir())

    def last(self) -> Path | None:
        """The newest."""
        return max(self.all(), default=None)

    @contextmanager
    def new(self, history: History) -> Iterator[Path]:
        """Gives a folder for what is to be kept; at the end of the block it is the newest checkpoint.

        If the block raises, all checkpoints stay as they were.
        """
        steps = f"-{history.step:07}" if history.step else ""
        with TemporaryDirectory(prefix=UNFINISHED, dir=self.folder) as temporary:
            whole = Path(temporary, "checkpoint")
            whole.mkdir()
            yield whole
            sums = {file.name: _sha256(file) for file in whole.iterdir()}
            (whole / CHECKSUMS).write_text(json.dumps(sums, indent=1))
            whole.rename(self.folder / f"checkpoint-{len(history):05}{steps}")
        for outdated in self.all()[:-KEPT]:
            shutil.rmtree(outdated)

    def drop_damaged(self) -> list[Path]:
        """Removes those at the end that are not as they were written, and says which.

        Raises:
            InputError: There are some, but none that is whole; then nothing is removed.
        """
        kept = self.all()
        damaged: list[Path] = []
        while kept and not _is_whole(kept[-1]):
            damaged.append(kept.pop())
        if damaged and not kept:
            raise InputError(
                f"{damaged[0]} cannot be read: its files are not as they were written, and there is no older "
                "checkpoint that is whole; overwrite the run to begin anew."
            )
        for checkpoint in damaged:
            shutil.rmtree(checkpoint)
        return damaged


@contextmanager
def readable(checkpoint: Path) -> Iterator[Path]:
    """Gives the folder; raises InputError where what the block reads there is of another form than was written."""
    try:
        yield checkpoint
    except Exception as error:  # of Keras, h5py, NumPy and JSON, for every way in which a file can be wrong
        raise InputError(f"{checkpoint} cannot be read: {first_line(error)}") from error


def _is_whole(checkpoint: Path) -> bool:
    try:
        sums = json.loads((checkpoint / CHECKSUMS).read_bytes())
        return all(_sha256(checkpoint / name) == checksum for name, checksum in sums.items())
    except (OSError, ValueError, AttributeError):  # a file is missing, or the checksums themselves are damaged
        return False


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
