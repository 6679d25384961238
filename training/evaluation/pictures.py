"""Pictures of an evaluation."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...core.atomic_files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_COUNTED, MOST_NAMED = 20, 60
"""Classes, for their counts to be written into the squares, and for their names to be written at the sides."""


def plot_confusion(confusion: np.ndarray, names: Sequence[str]) -> "Figure":
    """Draws the shares of the answers to each true class; counts as well, where there is room.

    Args:
        confusion: Counts by true class (row) and predicted class (column).
        names: Of the classes.
    """
    from matplotlib.figure import Figure

    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    side = float(np.clip(2.5 + 0.45 * len(names), 4, 16))
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    figure.colorbar(axes.imshow(shares, cmap="Blues", vmin=0, vmax=1), shrink=0.8, label="share of the true class")
    axes.set(xlabel="answered", ylabel="true")
    if len(names) <= MOST_NAMED:
        axes.set_xticks(range(len(names)), names, rotation=90, parse_math=False)
        axes.set_yticks(range(len(names)), names, parse_math=False)
    if len(names) <= MOST_COUNTED:
        for (row, column), count in np.ndenumerate(confusion):
            if count:
                colour = "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, f"{count:,}", ha="center", va="center", color=colour, size=8)
    return figure


def plot_reliability(bins: np.ndarray, calibration_error: float) -> "Figure":
    """Draws accuracy by confidence, with the share of the images in each bin below.

    Args:
        bins: As `calibration.reliability` gives them.
        calibration_error: The expected calibration error, 0..1.
    """
    from matplotlib.figure import Figure

    count, _, accuracy = bins.T
    width = 1 / len(bins)
    middles = (np.arange(len(bins)) + 0.5) * width
    figure = Figure(figsize=(4.8, 5.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.bar(middles, accuracy, width, edgecolor="white", label="accuracy")
    upper.plot([0, 1], [0, 1], "--", color="gray", label="as sure as right")
    upper.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    upper.set_title(f"Expected calibration error {calibration_error:.2%}")
    upper.legend(loc="upper left")
    lower.bar(middles, count / count.sum(), width, edgecolor="white", color="gray")
    lower.set(xlabel="confidence", ylabel="share of images")
    return figure


def save_picture(figure: "Figure", path: Path) -> None:
    """Writes a PNG; it is whole or not there."""
    with atomic_path(path) as unfinished:
        figure.savefig(unfinished, format="png", dpi=110)
