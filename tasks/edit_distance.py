"""Edit distance of two sequences, and which elements of the first are right (Levenshtein 1966)."""

from collections.abc import Sequence

import numpy as np


def edit_distance(target: Sequence[object], found: Sequence[object]) -> tuple[int, np.ndarray]:
    """Return how many elements must be inserted, removed or replaced, and which of `target` are right, bool.

    Of several alignments with the fewest edits, one is chosen.
    """
    costs = np.zeros((len(target) + 1, len(found) + 1), "int64")
    costs[:, 0], costs[0] = np.arange(len(target) + 1), np.arange(len(found) + 1)
    for row, wanted in enumerate(target, start=1):
        for column, got in enumerate(found, start=1):
            replaced = costs[row - 1, column - 1] + (wanted != got)
            costs[row, column] = min(replaced, costs[row - 1, column] + 1, costs[row, column - 1] + 1)
    right = np.zeros(len(target), bool)
    row, column = len(target), len(found)
    while row and column:
        if costs[row, column] == costs[row - 1, column - 1] + (target[row - 1] != found[column - 1]):
            row, column = row - 1, column - 1
            right[row] = target[row] == found[column]
        elif costs[row, column] == costs[row - 1, column] + 1:
            row -= 1
        else:
            column -= 1
    return int(costs[-1, -1]), right
