"""The images that a model gets most wrong, as a sheet."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LABELS = 3
"""Labels or numbers that a caption names: those that are the farthest off."""
MOST_LETTERS = 24
"""Of the name of a file, from its end, above an image."""


def plot_worst(
    task: str,
    images: np.ndarray,
    truth: np.ndarray,
    answers: np.ndarray,
    names: Sequence[str],
    called: Sequence[str],
) -> "Figure":
    """Draws images in the given order with what is right and what was answered.

    Args:
        task: What the answers are.
        images: uint8, `(count, height, width, channels)`.
        truth: The targets of these images, as in `data.images.Targets`.
        answers: Probabilities or numbers of these images, as the model gives them.
        names: Of the classes, labels or numbers.
        called: Files or numbers of these images.
    """
    called = [Path(name).name[-MOST_LETTERS:] for name in called]
    if task == "segmentation":
        return _plot_masks(images, truth, answers.argmax(axis=-1), names, called)
    captions = [CAPTIONS[task](right, given, names) for right, given in zip(truth, answers, strict=True)]
    columns = min(6, len(images))
    figure, grid = _sheet(math.ceil(len(images) / columns), columns)
    for axes, image, name, (caption, wrong) in zip(grid.flat, images, called, captions, strict=False):
        _show(axes, image)
        axes.set_title(f"{name}\n{caption}", size=7, color="firebrick" if wrong else "black", parse_math=False)
    return figure


def _class_caption(truth: int, answers: np.ndarray, names: Sequence[str]) -> tuple[str, bool]:
    given = answers.argmax()
    caption = f"{names[given]}: {answers[given]:.1%}"
    return (f"{caption}\nis {names[truth]}: {answers[truth]:.1%}", True) if given != truth else (caption, False)


def _labels_caption(truth: np.ndarray, answers: np.ndarray, names: Sequence[str]) -> tuple[str, bool]:
    farthest = np.argsort(-np.abs(answers - truth), kind="stable")[:MOST_LABELS]
    lines = [f"{names[i]}: {answers[i]:.1%}, is {'there' if truth[i] else 'not there'}" for i in farthest]
    return "\n".join(lines), bool(((answers > 0.5) != (truth == 1)).any())


def _numbers_caption(truth: np.ndarray, answers: np.ndarray, names: Sequence[str]) -> tuple[str, bool]:
    farthest = np.argsort(-np.abs(answers - truth), kind="stable")[:MOST_LABELS]
    return "\n".join(f"{names[i]}: {answers[i]:.4g}, is {truth[i]:.4g}" for i in farthest), False


CAPTIONS: dict[str, Callable[[Any, np.ndarray, Sequence[str]], tuple[str, bool]]] = {
    "classification": _class_caption,
    "multi_label": _labels_caption,
    "regression": _numbers_caption,
}
"""What to write above an image, and whether the answer is wrong."""


def _plot_masks(
    images: np.ndarray, masks: np.ndarray, answers: np.ndarray, names: Sequence[str], called: Sequence[str]
) -> "Figure":
    """Image, mask and answer side by side, two images a row."""
    from matplotlib import colormaps
    from matplotlib.patches import Patch

    figure, grid = _sheet(math.ceil(len(images) / 2), 6)
    colours = colormaps["tab20"] if len(names) <= 20 else colormaps["nipy_spectral"].resampled(len(names))
    for triple, image, name, *maps in zip(grid.reshape(-1, 3), images, called, masks, answers, strict=False):
        _show(triple[0], image)
        triple[0].set_title(name, size=7, parse_math=False)
        for axes, title, classes in zip(triple[1:], ("mask", "answer"), maps, strict=True):
            axes.imshow(colours(classes), interpolation="nearest")
            axes.set_title(title, size=7)
    there = np.union1d(masks, answers)[:20]
    legend = figure.legend(
        [Patch(color=colours(int(index))) for index in there],
        [names[index] for index in there],
        loc="outside lower center",
        ncols=5,
        fontsize=7,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


def _sheet(rows: int, columns: int) -> tuple["Figure", np.ndarray]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.7 * columns, 2.0 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    return figure, grid


def _show(axes: "Axes", image: np.ndarray) -> None:
    axes.imshow(image if image.shape[-1] == 3 else image[..., 0], cmap="gray", vmin=0, vmax=255)
