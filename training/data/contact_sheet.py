"""Contact sheet of augmented images, with their labels, masks and other targets."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.arguments import Seed, check_arguments
from ...core.errors import InputError
from ...core.outputs import by_name
from ...core.visible_text import visible_line
from ...tasks.plots import draw_image, draw_mask_over, mask_legend
from ...tasks.registry import get_task
from ...tasks.task import Task
from ...zoo.pixel_range import RAW
from ..recipe.augmentation import Augmentation, transformations
from ..recipe.recipe import Recipe
from .images import ImageData
from .pixel_format import displayable, to_raw
from .signal_pictures import as_drawn_maps, as_pictures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

IMAGES, VERSIONS = 6, 7
CAPTION_COLUMNS, CAPTION_LINES = 22, 5
"""Size of the text beside a row."""
MOST_LABELS = 4
"""Labels of one image that are named."""


@dataclass(frozen=True)
class Sheet:
    """The contents of a contact sheet."""

    images: np.ndarray
    """uint8, `(rows, columns, height, width, 1 or 3)`: the original, then its augmented views; with targets that are
    points, boxes or pictures."""
    masks: np.ndarray | None
    """Class indices `(rows, columns, height, width)` where a task has masks, below 0 without a class; else None."""
    captions: tuple[str, ...]
    """What each original is."""
    labels: Sequence[str]
    """Names of the classes of the masks."""


@check_arguments
def write_contact_sheet(
    data: ImageData, path: str | Path, *, augmentation: Augmentation = "light", seed: Seed = 0
) -> None:
    """Draws a PNG with six images of the train split, one in each row: the original and seven augmented versions.

    Each row has the label of its image; masks, points or boxes are drawn over images and views, pictures beside them.

    Args:
        data: The dataset.
        path: The file.
        augmentation: A policy or a list, as in a recipe. Images are mixed with others on the sheet.
        seed: Seed for the choice of the images and for the augmentation.

    Raises:
        InputError: The path does not end in .png.
    """
    from ...core.atomic_files import atomic_path
    from ...core.pictures import save_figure

    path = Path(path)
    if path.suffix.lower() != ".png":
        raise InputError(f"{path} is not the name of a picture; it must end in .png.")
    figure = _draw(contents(data, augmentation, seed))
    with atomic_path(path) as unfinished:
        save_figure(figure, unfinished)


def contents(data: ImageData, augmentation: Augmentation, seed: int) -> Sheet:
    """Return what is drawn; arguments as in `write_contact_sheet`."""
    from .pipeline import augmented_images  # imports TensorFlow

    chosen = np.random.default_rng(seed).permutation(len(data.train))[:IMAGES]
    rows, recipe = np.sort(chosen), Recipe(augmentation=augmentation, seed=seed)
    targets = {name: each[rows] for name, each in by_name(data.train.labels).items()}
    columns = [to_raw(data.train.images.take(rows).astype("float32"), data.pixel_range)]
    tasks, labels, dimensions = by_name(data.task), by_name(data.labels), len(data.image_shape) - 1
    mapped = next((name for name, task in tasks.items() if get_task(task).class_unit == "pixels"), None)
    masks = [] if mapped is None else [get_task(tasks[mapped]).mark_void(targets[mapped], data.ignore)]
    views = [targets]
    for version in range(VERSIONS if transformations(augmentation) else 0):
        images, changed = augmented_images(data.train, recipe, rows, epoch=version)
        columns.append(images)
        views.append(by_name(changed))
        if mapped is not None:
            masks.append(_indices(views[-1][mapped], dimensions))
    pictures = displayable(np.stack(columns, axis=1).round().clip(0, 255).astype("uint8"), RAW)
    drawn = next((name for name, task in tasks.items() if get_task(task).draws_targets), None)
    if drawn is not None and mapped is None:
        pictures = _with_targets(pictures, [each[drawn] for each in views], get_task(tasks[drawn]), labels[drawn])
    named = [_caption({name: each[row] for name, each in targets.items()}, tasks, labels) for row in range(len(rows))]
    return Sheet(
        as_pictures(pictures, dimensions),
        np.stack([as_drawn_maps(each, dimensions) for each in masks], axis=1) if masks else None,
        tuple(named),
        () if mapped is None else labels[mapped],
    )


def _with_targets(pictures: np.ndarray, views: Sequence[np.ndarray], task: Task, labels: Sequence[str]) -> np.ndarray:
    """Return pictures `(rows, columns, ...)` with the targets of each column, whose shapes may differ."""
    drawn = [task.draw_targets(pictures[:, number], targets, labels) for number, targets in enumerate(views)]
    return np.stack(drawn, axis=1)


def _indices(targets: np.ndarray, dimensions: int) -> np.ndarray:
    """Return masks as class indices, of mixed ones those of the larger share."""
    return targets.argmax(axis=-1) if targets.ndim == dimensions + 2 else targets


def _caption(targets: dict[str, Any], tasks: dict[str, str], labels: dict[str, Sequence[str]]) -> str:
    """Return what an image is: the names of its class or labels, or its values; nothing for a mask."""
    texts = []
    for name, target in targets.items():
        text = _target_text(np.asarray(target), tasks[name], labels[name])
        texts += [f"{name}: {text}" if name and text else text]
    return "\n".join(filter(None, texts))


def _target_text(target: np.ndarray, task: str, labels: Sequence[str]) -> str:
    if target.ndim == 0 and get_task(task).class_indices:
        return visible_line(str(labels[int(target)]))
    if (text := get_task(task).target_text(target, labels)) is not None:
        return visible_line(text)
    if target.ndim != 1 or len(target) != len(labels):
        return ""
    if get_task(task).activation is None:
        shown = [f"{visible_line(str(label))} {value:.4g}" for label, value in zip(labels, target, strict=True)]
    else:
        shown = [visible_line(str(label)) for label, value in zip(labels, target, strict=True) if value > 0.5]
    more = f" and {len(shown) - MOST_LABELS} more" if len(shown) > MOST_LABELS else ""
    return ", ".join(shown[:MOST_LABELS]) + more or "none"


def _draw(sheet: Sheet) -> "Figure":
    from matplotlib.figure import Figure

    rows, columns, height, width = sheet.images.shape[:4]
    ratio = min(max(height / width, 0.25), 4)
    has_text = any(sheet.captions)
    sizes = [1.7] * has_text + [1.2] * columns
    figure = Figure(figsize=(sum(sizes) + 0.3, rows * 1.2 * ratio + 0.6), layout="constrained")
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    grid = figure.subplots(rows, len(sizes), squeeze=False, width_ratios=sizes)
    for axes in grid.flat:
        axes.set_axis_off()
    for row, cells in enumerate(grid):
        if has_text:
            lines = textwrap.wrap(sheet.captions[row], CAPTION_COLUMNS, max_lines=CAPTION_LINES, placeholder=" ...")
            cells[0].text(1, 0.5, "\n".join(lines), ha="right", va="center", size=8, parse_math=False)
        for column, axes in enumerate(cells[has_text:]):
            draw_image(axes, sheet.images[row, column])
            if sheet.masks is not None:
                draw_mask_over(axes, sheet.masks[row, column], sheet.labels)
            if row == 0:
                axes.set_title("original" if column == 0 else f"view {column}", size=8)
    if sheet.masks is not None:
        mask_legend(figure, sheet.masks, sheet.labels)
    return figure
