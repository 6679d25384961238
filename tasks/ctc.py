"""Texts from the outputs of connectionist temporal classification (CTC), and how probable a text is.

Graves, Fernández, Gomez, Schmidhuber: Connectionist Temporal Classification (ICML 2006). Outputs `(columns, symbols)`
are the probabilities of each symbol in each column; the last one is the *blank*, none of the others. A path, one symbol
for each column, reads as the symbols that are left when repetitions are merged and then blanks removed.
"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from .evaluation import EPSILON

Symbols = tuple[int, ...]
"""Indices of symbols, without blanks."""
PROBABLE = 1e-4
"""Probability in a column from which the beam search considers a symbol."""


def columns_needed(symbols: Sequence[int]) -> int:
    """Return how many columns a text takes at least: one for each symbol, and a blank between two equal ones."""
    return len(symbols) + sum(one == following for one, following in pairwise(symbols))


def greedy(outputs: np.ndarray) -> Symbols:
    """Return what the most probable path reads as."""
    path = outputs.argmax(axis=-1)
    changes = np.concatenate([[True], path[1:] != path[:-1]])
    return tuple(path[changes & (path != outputs.shape[-1] - 1)].tolist())


def log_likelihood(outputs: np.ndarray, symbols: Sequence[int]) -> float:
    """Return the logarithm of the probability of a text, the sum over all paths that read as it.

    It is `log(EPSILON)` for each column at least, also of a text that is too long for the columns.
    """
    columns, count = outputs.shape
    states = np.full(2 * len(symbols) + 1, count - 1)  # blanks before, between and after the symbols
    states[1::2] = symbols
    may_skip = np.zeros(len(states), bool)
    may_skip[3::2] = states[3::2] != states[1:-2:2]
    with np.errstate(divide="ignore"):
        steps = np.log(outputs.astype("float64"))[:, states]
    reached = np.full(len(states), -np.inf)
    reached[:2] = steps[0, :2]
    for step in steps[1:]:
        before = np.concatenate([[-np.inf, -np.inf], reached])
        skipped = np.where(may_skip, before[:-2], -np.inf)
        reached = step + np.logaddexp(np.logaddexp(reached, before[1:-1]), skipped)
    return max(float(np.logaddexp.reduce(reached[-2:])), columns * float(np.log(EPSILON)))


def beam_search(outputs: np.ndarray, width: int) -> list[tuple[Symbols, float]]:
    """Return the most probable texts, the most probable first, with their probabilities, 0..1.

    Prefix beam search (Hannun et al., arXiv:1408.2873) without a language model; the probability of each text that it
    finds is then exact.

    Args:
        outputs: `(columns, symbols)`.
        width: Number of prefixes that are kept from column to column, and largest number of texts.
    """
    blank = outputs.shape[-1] - 1
    beam: dict[Symbols, tuple[float, float]] = {(): (1.0, 0.0)}
    """Probability of the paths so far that read as the prefix, and end in a blank or in its last symbol."""
    for column in outputs.astype("float64"):
        found: dict[Symbols, list[float]] = defaultdict(lambda: [0.0, 0.0])
        considered = np.flatnonzero(column >= min(PROBABLE, column.max())).tolist()
        for prefix, (in_blank, in_symbol) in beam.items():
            for symbol in considered:
                share = column[symbol]
                if symbol == blank:
                    found[prefix][0] += share * (in_blank + in_symbol)
                elif prefix and symbol == prefix[-1]:
                    found[prefix][1] += share * in_symbol
                    found[(*prefix, symbol)][1] += share * in_blank
                else:
                    found[(*prefix, symbol)][1] += share * (in_blank + in_symbol)
        possible = [each for each in found.items() if any(each[1])]
        kept = sorted(possible, key=lambda each: -sum(each[1]))[:width]
        total = sum(sum(shares) for _, shares in kept)  # longer texts would otherwise become 0
        beam = {prefix: (in_blank / total, in_symbol / total) for prefix, (in_blank, in_symbol) in kept}
    texts = [(prefix, float(np.exp(log_likelihood(outputs, prefix)))) for prefix in beam]
    return sorted(texts, key=lambda each: -each[1])
