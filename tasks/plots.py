"""Figures of evaluations and sheets of example images, drawn with matplotlib."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_COUNTED, MOST_NAMED = 20, 60
"""Largest numbers of classes for which a confusion matrix shows counts in its cells, and names on its sides."""
MASK_OPACITY = 0.6
"""Of masks over images, 0..1."""
BACKGROUND_OPACITY = 0.15
SMALL = 100
"""Pixels of the longer side below which an image is drawn without smoothing."""
CLASS_COLORS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#42d4f4", "#f032e6")
"""Of what is drawn over images, by class."""
TITLE_LENGTH = 24
"""Characters from the end of a file's name above an image."""


def plot_confusion(confusion: np.ndarray, labels: Sequence[str]) -> "Figure":
    """Draws the shares of the predictions for each true class, and counts where there is room.

    Args:
        confusion: Counts by true class (row) and predicted class (column).
        labels: Names of the classes.
    """
    from matplotlib.figure import Figure

    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    side = float(np.clip(2.5 + 0.45 * len(labels), 4, 16))
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    figure.colorbar(axes.imshow(shares, cmap="Blues", vmin=0, vmax=1), shrink=0.8, label="share of the true class")
    axes.set(xlabel="predicted", ylabel="true")
    if len(labels) <= MOST_NAMED:
        axes.set_xticks(range(len(labels)), labels, rotation=90, parse_math=False)
        axes.set_yticks(range(len(labels)), labels, parse_math=False)
    if len(labels) <= MOST_COUNTED:
        for (row, column), count in np.ndenumerate(confusion):
            if count:
                color = "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, f"{count:,}", ha="center", va="center", color=color, size=8)
    return figure


def plot_reliability(bins: np.ndarray, calibration_error: float) -> "Figure":
    """Draws accuracy by confidence, with the share of the images in each bin below.

    Args:
        bins: Result of `calibration.reliability`.
        calibration_error: Expected calibration error, 0..1.
    """
    from matplotlib.figure import Figure

    count, _, accuracy = bins.T
    width = 1 / len(bins)
    middles = (np.arange(len(bins)) + 0.5) * width
    figure = Figure(figsize=(4.8, 5.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.bar(middles, accuracy, width, edgecolor="white", label="accuracy")
    upper.plot([0, 1], [0, 1], "--", color="gray", label="perfect calibration")
    upper.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    upper.set_title(f"Expected calibration error {calibration_error:.2%}")
    upper.legend(loc="upper left")
    lower.bar(middles, count / count.sum(), width, edgecolor="white", color="gray")
    lower.set(xlabel="confidence", ylabel="share of images")
    return figure


def plot_roc(points: Sequence[tuple[float, float]], area: float | None) -> "Figure":
    """Draws true accept rate by false accept rate, whose axis is logarithmic.

    Args:
        points: Both rates, 0..1, of each threshold.
        area: Area under the curve, 0..1; None if it is not known.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.8, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.plot(*zip(*points, strict=True))
    axes.set(xlabel="false accept rate", ylabel="true accept rate", xscale="log", ylim=(0, 1.02))
    axes.grid(alpha=0.3)
    if area is not None:
        axes.set_title(f"Area under the ROC curve {area:.4f}")
    return figure


def plot_captioned(images: np.ndarray, captions: Sequence[tuple[str, bool]], names: Sequence[str]) -> "Figure":
    """Draws images under their names and captions.

    Args:
        images: uint8, `(count, height, width, channels)`.
        captions: Text for each image, and whether the prediction is wrong, which colors it red.
        names: File or number of each image.
    """
    columns = min(6, len(images))
    figure, grid = _sheet(math.ceil(len(images) / columns), columns)
    for axes, image, name, (caption, wrong) in zip(grid.flat, images, names, captions, strict=False):
        draw_image(axes, image)
        axes.set_title(f"{_title(name)}\n{caption}", size=7, color="firebrick" if wrong else "black", parse_math=False)
    return figure


def plot_masks(
    images: np.ndarray, targets: np.ndarray, predictions: np.ndarray, labels: Sequence[str], names: Sequence[str]
) -> "Figure":
    """Draws image, true mask and predicted mask side by side, two images in a row; masks over the image.

    Args:
        images: uint8, `(count, height, width, channels)`.
        targets: True class indices, `(count, height, width)`; pixels below 0 have no class and show the image.
        predictions: Predicted class indices, `(count, height, width)`.
        labels: Names of the classes.
        names: File or number of each image.
    """
    figure, grid = _sheet(math.ceil(len(images) / 2), 6)
    for triple, image, name, *masks in zip(grid.reshape(-1, 3), images, names, targets, predictions, strict=False):
        draw_image(triple[0], image)
        triple[0].set_title(_title(name), size=7, parse_math=False)
        for axes, heading, mask in zip(triple[1:], ("mask", "prediction"), masks, strict=True):
            draw_image(axes, image)
            draw_mask_over(axes, mask, labels)
            axes.set_title(heading, size=7)
    mask_legend(figure, np.stack([targets, predictions]), labels)
    return figure


def plot_pictures(images: np.ndarray, targets: np.ndarray, outputs: np.ndarray, names: Sequence[str]) -> "Figure":
    """Draws image, target and output side by side, two images in a row.

    Args:
        images: uint8, `(count, height, width, channels)`.
        targets: uint8 pictures, perhaps larger.
        outputs: uint8 pictures of the size of the targets.
        names: File or number of each image.
    """
    figure, grid = _sheet(math.ceil(len(images) / 2), 6)
    for triple, image, name, *pictures in zip(grid.reshape(-1, 3), images, names, targets, outputs, strict=False):
        draw_image(triple[0], image)
        triple[0].set_title(_title(name), size=7, parse_math=False)
        for axes, heading, picture in zip(triple[1:], ("target", "output"), pictures, strict=True):
            draw_image(axes, picture)
            axes.set_title(heading, size=7)
    return figure


def draw_points(axes: "Axes", points: np.ndarray, marker: str, *, color: str | None = None) -> None:
    """Draw points over the image in `axes`.

    Args:
        axes: With the image.
        points: `(count, 2)`, x and y as shares of width and height.
        marker: Matplotlib's name of their form.
        color: Of all; by default the color of each is that of its position in the order.
    """
    from matplotlib import colormaps

    left, right, bottom, top = axes.get_images()[0].get_extent()
    colors = colormaps["tab10"](np.arange(len(points)) % 10) if color is None else color
    across, down = left + points[:, 0] * (right - left), top + points[:, 1] * (bottom - top)
    axes.scatter(across, down, s=24, c=colors, marker=marker)


def draw_boxes(axes: "Axes", boxes: np.ndarray, classes: np.ndarray, *, dashed: bool = False) -> None:
    """Draw boxes over the image in `axes`.

    Args:
        axes: With the image.
        boxes: `(count, 4)`, edges as shares of width and height.
        classes: Class index of each, which sets its color.
        dashed: Whether lines are dashed.
    """
    from matplotlib.patches import Rectangle

    left, right, bottom, top = axes.get_images()[0].get_extent()
    for (x1, y1, x2, y2), index in zip(boxes, classes, strict=True):
        corner = left + x1 * (right - left), top + y1 * (bottom - top)
        size = (x2 - x1) * (right - left), (y2 - y1) * (bottom - top)
        style = "--" if dashed else "-"
        axes.add_patch(Rectangle(corner, *size, fill=False, color=f"C{int(index) % 10}", linestyle=style))


def draw_mask_over(axes: "Axes", mask: np.ndarray, labels: Sequence[str]) -> None:
    """Draw a mask in colors over the image in `axes`.

    Args:
        axes: With the image.
        mask: Class indices, `(height, width)`; pixels below 0 have no class and stay as they are.
        labels: Names of the classes; one named background is hardly colored.
    """
    colors = _class_colors(len(labels))(np.maximum(mask, 0))
    background = [index for index, label in enumerate(labels) if str(label).lower() == "background"]
    colors[..., 3] = np.where(np.isin(mask, background), BACKGROUND_OPACITY, MASK_OPACITY)
    colors[mask < 0, 3] = 0
    axes.imshow(colors, interpolation="nearest")


def mask_legend(figure: "Figure", masks: np.ndarray, labels: Sequence[str]) -> None:
    """Add the names of the classes in `masks`, twenty at most, below a figure."""
    from matplotlib.patches import Patch

    colors = _class_colors(len(labels))
    present = np.unique(masks[masks >= 0])
    shown = present[:20]
    names = [labels[index] for index in shown]
    more = [f"and {len(present) - len(shown)} more"] if len(present) > len(shown) else []
    legend = figure.legend(
        [*(Patch(color=colors(int(index))) for index in shown), *(Patch(alpha=0) for _ in more)],
        [*names, *more],
        loc="outside lower center",
        ncols=5,
        fontsize=7,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def _class_colors(classes: int) -> Any:
    from matplotlib import colormaps

    return colormaps["tab20"] if classes <= 20 else colormaps["nipy_spectral"].resampled(classes)


def _title(name: str) -> str:
    file = Path(name).name.encode("utf-8", "backslashreplace").decode()  # matplotlib takes valid Unicode only
    return file[-TITLE_LENGTH:]


def _sheet(rows: int, columns: int) -> tuple["Figure", np.ndarray]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.7 * columns, 2.0 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    return figure, grid


def draw_image(axes: "Axes", image: np.ndarray) -> None:
    """Draw an image, uint8 `(height, width, 1 or 3)`, pixel by pixel where it is small."""
    sampling = "nearest" if max(image.shape[:2]) < SMALL else "antialiased"
    axes.imshow(image if image.shape[-1] == 3 else image[..., 0], cmap="gray", vmin=0, vmax=255, interpolation=sampling)
