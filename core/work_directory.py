"""Directories that a long job fills: whether one is free, another job's, resumable, or in use by another process."""

import errno
import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .atomic_files import UNFINISHED, atomic_path, remove
from .documents import read_json
from .errors import InputError, WriteError, report_write_errors, shorten, write_error_reason
from .file_lock import hold_lock

LOCK = f"{UNFINISHED}lock"
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""Numbers of the errors of a full disk, quota, or limit on the size of files."""
RESUME = "continue with --resume (resume=True); what was saved before is intact"

_lent: ContextVar[frozenset[Path]] = ContextVar("_lent", default=frozenset())
"""Directories that this thread has locked for the jobs that it starts in them."""
_remedy: ContextVar[str] = ContextVar("_remedy", default=RESUME)
"""What to do once the files of a job can be written again."""


@contextmanager
def lend_directory(path: Path, *, remedy: str = RESUME) -> Iterator[None]:
    """Lock a directory for all jobs that the block starts in it, one after another.

    So nobody gets in before the first one or between two of them. Folders that are made and are empty in the end are
    removed again.

    Args:
        path: The directory, or one above those of the jobs.
        remedy: What to do, in messages, once files that could not be written can be, without a period.

    Raises:
        InputError: Another process uses the directory, or it cannot be written.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    before = _remedy.set(remedy)
    try:
        with WorkDirectory(path, "run", "", ()).lock():
            token = _lent.set(_lent.get() | {path.resolve()})
            try:
                yield
            finally:
                _lent.reset(token)
    finally:
        _remedy.reset(before)
        with suppress(OSError):  # not empty
            for folder in missing:
                folder.rmdir()


@dataclass(frozen=True)
class WorkDirectory:
    """A directory that a resumable job fills with its results, piece by piece.

    The first file in it holds the settings of the job: it marks the directory as the job's own, and a job is resumed
    with the same settings only. Only files that the job has written are ever removed.
    """

    path: Path
    job: str
    """What messages call the job, such as "run"."""
    settings_name: str
    """Name of the file with the settings."""
    results: tuple[str, ...]
    """Names, or patterns of names, of what else the job writes there."""
    explanations: Mapping[str, str] = field(default_factory=dict)
    """By setting whose value means nothing to a reader, such as a checksum: what it means if it differs. Reported only
    where no other setting differs."""

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from the directory, which is made, until the block ends or this process does.

        Raises:
            InputError: Another process uses the directory, or it cannot be written.
        """
        if self.path.resolve() in _lent.get():
            with self._resumable():
                yield
            return
        with self._errors():
            self.path.mkdir(parents=True, exist_ok=True)
        busy = f"{self._name} is in use by another process"
        with hold_lock(self.path / LOCK, what=self._name, busy=busy), self._resumable():
            yield

    def open(self, settings: Mapping[str, Any], *, resume: bool, overwrite: bool, restart: bool = False) -> None:
        """Start a job in the directory, or resume the one that was interrupted there.

        Args:
            settings: Everything that the results depend on, in values that JSON can hold.
            resume: Continue with what is there.
            overwrite: Remove the results of an earlier job; `resume` takes precedence.
            restart: Whether an earlier job may be replaced in any case, since it has no results worth keeping.

        Raises:
            InputError: The directory has other files, or another job's, or it cannot be written.
        """
        with self._errors():
            if self.exists and overwrite and not resume:
                self.remove_files()
            self.path.mkdir(parents=True, exist_ok=True)
            begun = self.exists
            if (begun and restart and not resume) or self._is_free():
                self.write(self.settings_name, json.dumps(settings, indent=1))
            elif not (begun and resume):
                raise InputError(
                    f"{self._name} is not empty; resume the {self.job}, overwrite it, or name another directory."
                )
            self._check_same(settings)
            self._remove_unfinished()  # also the settings of a process that was killed while it wrote them

    @property
    def exists(self) -> bool:
        """Whether the directory holds such a job, finished or not."""
        return (self.path / self.settings_name).exists()

    def settings(self) -> dict[str, Any]:
        """Read the settings of the job that is there; empty if there is none."""
        if not self.exists:
            return {}
        saved = read_json(self.path / self.settings_name)
        if not isinstance(saved, dict):
            raise InputError(f"{self.path / self.settings_name} is damaged: it does not contain settings by name.")
        return saved

    def write(self, name: str, text: str) -> None:
        """Write a file of the directory; it is whole or not there."""
        with atomic_path(self.path / name) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def remove(self) -> None:
        """Remove the job, if there is one; the directory too, unless it has other files.

        Raises:
            InputError: Another process uses the directory.
        """
        if self.exists:
            with self.lock():
                self.remove_files()
            with suppress(OSError):  # it is not empty
                self.path.rmdir()

    def remove_files(self) -> None:
        """Remove what the job has written; the settings last, so that the rest can still be recognized."""
        self._remove_unfinished()
        for pattern in (*self.results, self.settings_name):
            for entry in self.path.glob(pattern):
                remove(entry)

    def _remove_unfinished(self) -> None:
        """Remove what a killed process had begun to write."""
        for entry in self.path.glob(f"{UNFINISHED}*"):
            if entry.name != LOCK:  # held by this process; another one could make and hold a second file of that name
                remove(entry)

    def _is_free(self) -> bool:
        return all(entry.name.startswith(UNFINISHED) for entry in self.path.iterdir())

    def _check_same(self, settings: Mapping[str, Any]) -> None:
        before, now = _flatten(self.settings()), _flatten(json.loads(json.dumps(settings)))
        differing = [name for name in before | now if before.get(name) != now.get(name)]
        changes = [
            f"{name} was {shorten(repr(before.get(name)))}, is {shorten(repr(now.get(name)))}"
            for name in differing
            if name not in self.explanations
        ]
        changes = changes or [self.explanations[name] for name in differing]
        if changes:
            raise InputError(f"{self._name} belongs to another {self.job}: {'; '.join(changes)}.")

    @contextmanager
    def _resumable(self) -> Iterator[None]:
        """Add to the error that something cannot be written how the job continues."""
        try:
            yield
        except OSError as error:
            if isinstance(error, WriteError):
                message = str(error)
            elif error.errno in {*FULL, errno.EROFS}:  # out of a callback of the user's, for example
                message = f"{error.filename or self._name} cannot be written: {write_error_reason(error)}."
            else:
                raise
            remedy = f"{_remedy.get()}."
            if not message.endswith(remedy):  # of a job within this one
                repaired = "there is room again" if error.errno in FULL else "it can be written again"
                message += f" When {repaired}, {remedy}"
            raise WriteError(message, error.errno) from error

    def _errors(self) -> AbstractContextManager[None]:
        return report_write_errors(self._name)

    @property
    def _name(self) -> str:
        return f"run directory {self.path}"


def _flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested sections to fields with dotted names."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat
