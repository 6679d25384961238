"""Converters and runtimes talk to file descriptors, past Python; here they are kept quiet, and heard when they fail."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


def is_verbose() -> bool:
    """Whether `pocketzoo -v` is running, or `POCKETZOO_VERBOSE` is set."""
    return bool(os.environ.get("POCKETZOO_VERBOSE"))


@contextmanager
def quiet() -> Iterator[None]:
    """Swallows what the block prints on standard output and error; an exception gets it as a note.

    With `is_verbose()` they talk.
    """
    if is_verbose():
        yield
        return
    _flush()
    kept = [os.dup(descriptor) for descriptor in (1, 2)]
    with tempfile.TemporaryFile() as log:
        for descriptor in (1, 2):
            os.dup2(log.fileno(), descriptor)
        try:
            yield
        except Exception as error:
            log.seek(0)
            error.add_note(log.read().decode(errors="replace"))
            raise
        finally:
            _flush()
            for descriptor, saved in zip((1, 2), kept, strict=True):
                os.dup2(saved, descriptor)
                os.close(saved)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # as it is in a process whose descriptor was closed
            stream.flush()
