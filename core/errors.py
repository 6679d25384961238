"""Errors that are the user's to mend, in one clear sentence each."""

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


MOST_SHOWN = 20
"""Of the allowed values, in a message."""


class InputError(ValueError):
    """Something the user gave cannot be used; the message says what, which value, and what is allowed.

    The command line shows the message alone and exits with 2.
    """


def unknown(what: str, value: object, allowed: Iterable[str]) -> InputError:
    """An error for a `value` that is none of `allowed`, with the nearest right spellings first."""
    allowed = list(allowed)
    near = difflib.get_close_matches(str(value).lower(), allowed, n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    shown = allowed if len(allowed) <= MOST_SHOWN else [*allowed[:MOST_SHOWN], f"{len(allowed) - MOST_SHOWN} more"]
    return InputError(f"unknown {what} {value!r}: {hint}there are {', '.join(shown) or 'none'}.")


def describe(error: "ValidationError") -> str:
    """All that pydantic found wrong, each with its field and the value that came."""
    sentences = []
    for problem in error.errors():
        field = "".join(f"{part}." for part in problem["loc"])[:-1]
        came = "" if problem["type"] == "missing" or not field else f" (got {problem['input']!r})"
        sentences.append(f"{field}: {problem['msg']}{came}" if field else problem["msg"])
    return "; ".join(sentences)


def first_line(error: Exception) -> str:
    """The first line of what another library says, or the name of its error if it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
