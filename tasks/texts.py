"""Texts as the indices of their characters."""

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ..core.errors import InputError, shorten
from .ctc import Symbols
from .mask_files import read_class_names
from .table_values import parse_label
from .target_form import Labels

BLANK = "blank"
"""Label of the output that is no character, which is the last."""
SPACE = "space"
"""Label of the space, since labels are not empty."""
PADDING = -1
"""What targets have after the end of a text."""


def parse_text(value: str, alphabet: Sequence[str] | None = None) -> Labels:
    """Return the labels of the characters of a text, in Unicode's composed form (NFC).

    Args:
        value: One line, not empty.
        alphabet: Labels that it may have; None for any.

    Raises:
        ValueError: It is empty, or has a character that it may not have.
    """
    characters = unicodedata.normalize("NFC", parse_label(value))
    wrong = next((each for each in characters if each != " " and each.isspace()), None)
    labels = tuple(SPACE if each == " " else each for each in characters)
    if wrong is None and alphabet is not None:
        wrong = next((each for each in labels if each not in alphabet), None)
    if wrong is not None:
        allowed = "white space is ' ' alone" if alphabet is None else shorten("allowed are " + " ".join(alphabet))
        raise ValueError(f"{shorten(value)!r} has the character {wrong!r}; {allowed}.")
    return labels


def read_alphabet(file: Path) -> Labels:
    """Return the labels of characters in a text file, one on each line; that of the blank may be missing."""
    names = tuple(unicodedata.normalize("NFC", name) for name in read_class_names(file) if name != BLANK)
    wrong = next((name for name in names if len(name) > 1 and name != SPACE), None)
    if wrong is not None:
        raise InputError(f"{file} has {shorten(wrong)!r}; it takes one character on each line, or the word {SPACE}.")
    return names


def encode_texts(texts: Iterable[Labels], alphabet: Sequence[str] | None = None) -> tuple[Labels, np.ndarray]:
    """Return the labels of a model for these texts, and their targets, int32 `(count, longest)`, padded with -1.

    Args:
        texts: Labels of the characters of each, or a string, whose characters are its labels but for spaces.
        alphabet: Labels of characters; those of the texts, in order of their code points, if None.
    """
    rows = [parse_text(text, alphabet) if isinstance(text, str) else text for text in texts]
    characters = tuple(sorted({label for row in rows for label in row}) if alphabet is None else alphabet)
    indices = {label: index for index, label in enumerate(characters)}
    targets = np.full((len(rows), max(map(len, rows), default=1)), PADDING, "int32")
    for target, row in zip(targets, rows, strict=True):
        target[: len(row)] = [indices[label] for label in row]
    return (*characters, BLANK), targets


def text_of(symbols: Iterable[int], labels: Sequence[str]) -> str:
    """Return the text of symbols by the labels of the outputs."""
    return "".join(" " if labels[index] == SPACE else labels[index] for index in symbols)


def symbols_of(target: np.ndarray) -> Symbols:
    """Return the symbols of one target, without its padding."""
    return tuple(target[target != PADDING].tolist())
