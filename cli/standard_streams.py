"""Standard output and error of the commands: what a file contains cannot control the terminal that it is shown on."""

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from ..core.errors import InputError
from ..core.output_capture import STANDARD_ERROR
from ..core.visible_text import visible

STYLES = re.compile(r"(\x1b\[[\d;]*m|\x1b\[\d*[AK]|\x1b\[\?25[hl]|\r)")
"""Sequences that rich writes for colors and progress bars."""


class VisibleStream:
    """A text stream that escapes control characters, and whose reader may go away.

    Args:
        stream: Standard output or error.
        must_be_written: Whether it is an error that the stream cannot be written for another reason, as on a full disk.
        escape: Makes a text safe.
    """

    def __init__(self, stream: IO[str], *, must_be_written: bool, escape: Callable[[str], str] = visible):
        self._stream, self._must_be_written, self._escape = stream, must_be_written, escape

    @property
    def rich_proxied_file(self) -> "VisibleStream":
        """The stream that rich writes to, with its own styles; it asks for this name."""
        return VisibleStream(self._stream, must_be_written=self._must_be_written, escape=_visible_but_styles)

    def write(self, text: str) -> int:
        """Write a text; nothing happens once its reader has gone, as in `pocketzoo list | head -1`."""
        safe = self._escape(text)
        self._attempt(lambda: self._stream.write(safe))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Write what is buffered."""
        self._attempt(self._stream.flush)

    def _attempt(self, operation: Callable[[], Any]) -> None:
        try:
            operation()
        except OSError as error:
            self._discard_the_rest()
            if self._must_be_written and not isinstance(error, BrokenPipeError):
                raise InputError(f"standard output cannot be written: {error.strerror}.") from error

    def _discard_the_rest(self) -> None:
        """Let everything that is still buffered, and all that follows, go nowhere."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        """Return what else the stream has."""
        if name == "buffer":  # typer would write to it where the encoding is ASCII
            raise AttributeError(name)
        return getattr(self._stream, name)


def _visible_but_styles(text: str) -> str:
    """Escape everything but the sequences for styles, which `SafeConsole` has escaped where they are from a file."""
    return "".join(part if STYLES.fullmatch(part) else visible(part) for part in STYLES.split(text))


@contextmanager
def visible_streams() -> Iterator[None]:
    """Let the process print through `VisibleStream` in the block; standard streams that are closed go nowhere."""
    _open_closed_streams()
    originals = sys.stdout, sys.stderr
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    if hasattr(sys.stdout, "reconfigure"):  # file names that are not valid UTF-8 are printed as they are
        sys.stdout.reconfigure(errors="surrogateescape" if encoding == "utf8" else "backslashreplace")
    sys.stdout = VisibleStream(sys.stdout, must_be_written=True)
    sys.stderr = VisibleStream(sys.stderr, must_be_written=False)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = originals


def _open_closed_streams() -> None:
    """Open the null device in place of closed standard streams.

    Otherwise the next file that is opened gets the number of one, and the messages of native libraries.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= STANDARD_ERROR:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for descriptor, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:  # what Python makes of a descriptor that was closed
            setattr(sys, name, open(descriptor, mode, closefd=False))  # noqa: SIM115
