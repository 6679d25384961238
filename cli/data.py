"""`pocketzoo data`: what a dataset is like, before a model is trained on it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import console, options
from .heavy import import_tensorflow
from .options import Changes, Json, RecipeFile

if TYPE_CHECKING:
    from ..training import Survey

MOST_NAMED = 5
"""Of the duplicates and of the unreadable files; --json names all."""


def data(
    source: Annotated[str, typer.Argument(help="As --data of other commands takes it.")],
    sheet: Annotated[
        Path | None, typer.Option(help="Write a PNG with some images, each beside what augmentation makes of it.")
    ] = None,
    augmentation: Annotated[
        str | None, typer.Option(help="Of the sheet: a policy by name; the recipe's by default.")
    ] = None,
    recipe: RecipeFile = None,
    changes: Changes = None,
    as_json: Json = False,
) -> None:
    """Show what a dataset has: classes, sizes, brightness, duplicates, unreadable files."""
    from .. import training

    how = options.recipe(recipe, changes, training.Recipe())
    if augmentation is not None:
        how = how.changed(augmentation=augmentation)
    import_tensorflow()
    found = training.survey(source)
    if as_json:
        console.show_json(found.to_dict())
    else:
        _show(found)
    if sheet is not None:
        images = training.load_data(source, image_size=how.data.image_size, on_unreadable="skip")
        training.write_contact_sheet(images, sheet, augmentation=how.augmentation, seed=how.seed)
        typer.echo(f"Augmented images: {sheet}", err=as_json)


def _show(found: "Survey") -> None:
    counts = ", ".join(f"{count:,} {split}" for split, count in found.images.items())
    print(f"{found.source}: {sum(found.images.values()):,} images ({counts})\n")
    if isinstance(found.task, dict):
        for output, task in found.task.items():
            _show_labels(f"{output} ({task})", found.labels[output], found.imbalance[output])
    else:
        _show_labels(found.task, found.labels, found.imbalance)
    shown = "  ".join(f"{which} {width}x{height}" for which, (height, width) in found.sizes.items())
    print(f"Sizes (width x height): {shown}")
    print(f"Mean of the train pixels: {_numbers(found.mean)}; deviation: {_numbers(found.deviation)} (0..255)")
    _show_some("Images that are there more than once", [" = ".join(group) for group in found.duplicates])
    _show_some("Of these in more than one split, which training refuses", [" = ".join(g) for g in found.leaked])
    _show_some("Unreadable files", list(found.unreadable.values()))


def _show_labels(title: str, labels: dict[str, dict[str, float]], imbalance: float | None) -> None:
    columns = list(next(iter(labels.values())))
    rows = [(name, *(_number(row[column]) for column in columns)) for name, row in labels.items()]
    console.show_table(("label", *columns), rows, title=title)
    if imbalance is not None:
        print(f"The most frequent is there {imbalance:.2f} times as often as the rarest (train).\n")


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.5g}"


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.1f}" for value in values)


def _show_some(title: str, lines: list[Any]) -> None:
    print(f"{title}: {len(lines):,}")
    for line in lines[:MOST_NAMED]:
        print(f"  {line}")
    if len(lines) > MOST_NAMED:
        print(f"  and {len(lines) - MOST_NAMED:,} more")
