"""Errors that the user can correct, in one clear sentence each."""

import difflib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


MOST_SHOWN = 20
"""Allowed values listed in a message."""
MOST_PROBLEMS = 20
"""Wrong fields of a file that are listed."""
LONGEST_VALUE = 100
"""Characters of a value in a message."""
MOST_WORSE = 0.15
"""Difference in likeness to the best suggestion, 0..1, of others that are suggested too."""


class InputError(ValueError):
    """A mistake of the user's: the message says what cannot be used, which value it has, and what is allowed.

    The command line shows the message alone and exits with code 2.
    """


class WriteError(InputError, OSError):
    """A file cannot be written: the disk or a quota is full, a limit is reached, or it is read-only."""

    def __init__(self, message: str, errno: int | None = None):
        super().__init__(message)
        if errno is not None:
            self.errno, self.strerror = errno, os.strerror(errno)

    def __str__(self) -> str:
        """Return the message alone, where `OSError` would show the number."""
        return str(self.args[0])


def unknown(what: str, value: object, allowed: Iterable[str], *, listed_by: str | None = None) -> InputError:
    """Create the error for a `value` that is none of `allowed`.

    The message names the nearest spellings; if there are none, what is allowed, as far as it is not too much.

    Args:
        what: The kind of thing, such as `"model"`.
        value: What was received.
        allowed: All names.
        listed_by: A command or function that lists all names.
    """
    allowed = list(allowed)
    value = shorten(value) if isinstance(value, str) else value
    nearest = difflib.get_close_matches(str(value).lower(), allowed, n=3, cutoff=0.6)
    likeness = [difflib.SequenceMatcher(None, str(value).lower(), name).ratio() for name in nearest]
    nearest = [name for name, share in zip(nearest, likeness, strict=True) if share > max(likeness) - MOST_WORSE]
    listing = f" {listed_by} lists all {len(allowed)}." if listed_by else ""
    if nearest:
        return InputError(f"unknown {what} {value!r}: did you mean {' or '.join(nearest)}?{listing}")
    shown = allowed if len(allowed) <= MOST_SHOWN else [*allowed[:MOST_SHOWN], f"{len(allowed) - MOST_SHOWN} more"]
    return InputError(f"unknown {what} {value!r}: there are {', '.join(shown) or 'none'}.{listing}")


def describe(error: "ValidationError") -> str:
    """List everything that pydantic found wrong, each with its field and the value received."""
    sentences = []
    for problem in error.errors()[:MOST_PROBLEMS]:
        field = shorten("".join(f"{part}." for part in problem["loc"])[:-1])
        received = "" if problem["type"] == "missing" or not field else f" (got {shorten(repr(problem['input']))})"
        sentences.append(f"{field}: {problem['msg']}{received}" if field else problem["msg"])
    more = error.error_count() - MOST_PROBLEMS
    return "; ".join(sentences + ([f"and {more} more"] if more > 0 else []))


def shorten(text: str) -> str:
    """Return the beginning of a text that is long, as a part of a message: what a file contains can have any length."""
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the name of its class if the message is empty.

    Where Keras put the layer before the message, it comes after it.
    """
    text = re.sub(r"\x1b\[\d+m", "", str(error))  # Keras prints messages in bold
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
    layer = re.match(r"Exception encountered when calling (\S+)\.call\(\)", lines[0])
    return f"{lines[1].rstrip('.')}, in {layer[1]}" if layer and len(lines) > 1 else lines[0]


def input_error_in(error: BaseException | None) -> InputError | None:
    """Return the InputError that a library raised another error about, or `error` itself; None if there is none."""
    while error is not None and not isinstance(error, InputError):
        error = error.__cause__ or error.__context__
    return error


@contextmanager
def report_write_errors(what: str) -> Iterator[None]:
    """Convert an `OSError` of the block to a `WriteError` that `what` cannot be written, with the reason."""
    try:
        yield
    except WriteError:
        raise
    except OSError as error:
        raise WriteError(f"{what} cannot be written: {write_error_reason(error)}.", error.errno) from error


def write_error_reason(error: OSError) -> str:
    """Return the system's reason alone, without the file, which may be a temporary one."""
    return os.strerror(error.errno) if error.errno else first_line(error).rstrip(".")
