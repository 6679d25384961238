"""Suppresses what converters and runtimes print past Python, directly to file descriptors 1 and 2."""

import errno
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from .process_patches import PROCESS_STATE

STANDARD_OUTPUT, STANDARD_ERROR = 1, 2


def is_verbose() -> bool:
    """Whether `pocketzoo -v` is running, or `POCKETZOO_VERBOSE` is set."""
    return bool(os.environ.get("POCKETZOO_VERBOSE"))


@contextmanager
def suppress_output() -> Iterator[None]:
    """Suppress what is printed to standard output and error during the block; attach it to an exception as a note.

    Descriptors belong to the whole process, so blocks of several threads share one redirection: the first block begins
    it and the last one ends it, in whatever order they end. An exception's note has what was printed since its own
    block began, by any thread. Nothing is suppressed if `is_verbose()`.
    """
    if is_verbose():
        yield
        return
    start = _redirection.begin_block()
    try:
        yield
    except Exception as error:
        if printed := _redirection.printed_since(start):
            error.add_note(printed)
        raise
    finally:
        _redirection.end_block()


def duplicate_descriptor(descriptor: int) -> int | None:
    """Duplicate an open file descriptor to a number above 2, or return None if it is closed.

    `os.dup` takes the lowest free number, which is that of a standard stream if one is closed.
    """
    try:
        copy = os.dup(descriptor)
    except OSError as error:
        if error.errno == errno.EBADF:
            return None
        raise
    if copy > STANDARD_ERROR:
        return copy
    try:
        return duplicate_descriptor(copy)
    finally:
        os.close(copy)


class _Redirection:
    """Redirects descriptors 1 and 2 to one temporary file while at least one block is open."""

    def __init__(self) -> None:
        self._blocks = 0
        self._log = -1
        self._saved: dict[int, int | None] = {}

    def begin_block(self) -> int:
        """Redirect unless an open block has done so; return the current size of the log in bytes."""
        with PROCESS_STATE:
            _flush()
            if not self._blocks:
                self._redirect()
            self._blocks += 1
            return os.fstat(self._log).st_size

    def printed_since(self, start: int) -> str:
        """Read the log from byte `start`; a block must be open."""
        _flush()
        return os.pread(self._log, os.fstat(self._log).st_size - start, start).decode(errors="replace")

    def end_block(self) -> None:
        """Restore the descriptors if no other block is open."""
        with PROCESS_STATE:
            try:
                _flush()
            finally:
                self._blocks -= 1
                if not self._blocks:
                    self._restore()

    def _redirect(self) -> None:
        # Duplicated first: the log could get the number of a closed standard stream, which would then seem to be open.
        self._saved = {descriptor: duplicate_descriptor(descriptor) for descriptor in (STANDARD_OUTPUT, STANDARD_ERROR)}
        try:
            with tempfile.TemporaryFile() as log:
                self._log = duplicate_descriptor(log.fileno()) or -1
        except OSError:
            self._close_saved()
            raise
        for descriptor in self._saved:
            os.dup2(self._log, descriptor)

    def _restore(self) -> None:
        for descriptor, saved in self._saved.items():
            if saved is None:
                os.close(descriptor)
            else:
                os.dup2(saved, descriptor)
        self._close_saved()
        os.close(self._log)

    def _close_saved(self) -> None:
        for saved in self._saved.values():
            if saved is not None:
                os.close(saved)


_redirection = _Redirection()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:  # it is None in a process whose descriptor was closed
            stream.flush()
