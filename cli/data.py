"""`pocketzoo data`: a survey of a dataset, before a model is trained on it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.atomic_files import check_output
from ..core.errors import InputError
from ..core.visible_text import visible_line
from . import console
from .inputs import read_recipe
from .options import AllowCode, Changes, FolderLayout, Ignore, Json, RecipeFile
from .tensorflow_import import import_tensorflow

if TYPE_CHECKING:
    from ..training import HeaderSurvey, Survey

LINES_SHOWN = 5
"""Most duplicates and most unreadable files that are listed; --json lists all."""


def data(
    source: Annotated[str, typer.Argument(help="A dataset, as for --data of other commands.")],
    sheet: Annotated[
        Path | None, typer.Option(help="Write a PNG that shows some images, each beside augmented versions of it.")
    ] = None,
    augmentation: Annotated[
        str | None, typer.Option(help="Augmentation policy for the sheet; the recipe's if not set.")
    ] = None,
    headers: Annotated[
        bool,
        typer.Option(
            "--headers",
            help="Read the headers of the image files alone, in seconds for 50,000: classes, sizes, formats, and files "
            "without a header; not copies, brightness and damage.",
        ),
    ] = False,
    recipe: RecipeFile = None,
    changes: Changes = None,
    allow_code: AllowCode = False,
    layout: FolderLayout = None,
    ignore: Ignore = None,
    as_json: Json = False,
) -> None:
    """Show a dataset's classes, image sizes, brightness, duplicates and unreadable files."""
    from .. import training
    from ..training.data.sources import takes_tensorflow

    if headers and (sheet is not None or ignore is not None):
        used = "--sheet" if sheet is not None else "--ignore"
        raise InputError(
            f"{used} needs the pixels of the images, which --headers does not read; leave one of them out."
        )
    if sheet is not None:
        check_output(sheet)
    settings = read_recipe(recipe, changes, training.Recipe(), allow_code)
    if augmentation is not None:
        settings = settings.changed(augmentation=augmentation)
    if takes_tensorflow(source):
        import_tensorflow()
    chosen: Any = None if layout is None else layout.value
    survey: Survey | HeaderSurvey
    if headers:
        survey = training.survey_headers(source, layout=chosen)
    else:
        survey = training.survey(source, layout=chosen, ignore=ignore)
    if as_json:
        console.show_json(survey.to_dict())
    else:
        _show_contents(survey)
        if isinstance(survey, training.HeaderSurvey):
            _show_headers(survey)
        else:
            _show_pixels(survey)
    if sheet is not None:
        import_tensorflow()
        images = training.load_data(
            source,
            image_size=settings.data.image_size,
            on_unreadable="skip",
            layout=chosen,
            ignore=ignore,
        )
        training.write_contact_sheet(images, sheet, augmentation=settings.augmentation, seed=settings.seed)
        typer.echo(f"Augmented images: {sheet}", err=as_json)


def _show_contents(survey: "Survey | HeaderSurvey") -> None:
    counts = ", ".join(f"{count:,} {split}" for split, count in survey.images.items())
    print(f"{survey.source}: {sum(survey.images.values()):,} images ({counts})\n")
    if survey.interpretation:
        print(f"{survey.interpretation}\n")
    several = isinstance(survey.task, dict)
    imbalance = getattr(survey, "imbalance", None)
    for output, task in survey.task.items() if isinstance(survey.task, dict) else [("", survey.task)]:
        labels: Any = survey.labels[output] if several else survey.labels
        ratio = imbalance[output] if isinstance(imbalance, dict) else imbalance
        if labels:
            _show_labels(f"{output} ({task})" if output else task, labels, ratio)
    sizes = "  ".join(f"{which} {width}x{height}" for which, (height, width) in survey.sizes.items())
    print(f"Sizes (width x height): {sizes}")


def _show_headers(survey: "HeaderSurvey") -> None:
    for title, counts in (("Formats", survey.formats), ("Modes", survey.modes)):
        print(f"{title}: {', '.join(f'{name} {count:,}' for name, count in counts.items())}")
    _show_lines("Unreadable files", list(survey.unreadable.values()))
    print(f"Not checked: {'; '.join(survey.not_checked)}.")


def _show_pixels(survey: "Survey") -> None:
    mean, deviation = _numbers(survey.mean), _numbers(survey.deviation)
    low, high = survey.pixel_range
    print(f"Mean of the training pixels: {mean}; standard deviation: {deviation} ({low:g}..{high:g}, {survey.dtype})")
    _show_lines("Images that occur more than once", [" = ".join(group) for group in survey.duplicates])
    _show_lines(
        "Of these, in more than one split, which training rejects", [" = ".join(group) for group in survey.leaked]
    )
    if survey.contradictions:
        _show_lines("Images with a copy in another class, which training rejects", list(survey.contradictions.values()))
    _show_lines("Unreadable files", list(survey.unreadable.values()))


def _show_labels(title: str, labels: dict[str, dict[str, float]], imbalance: float | None) -> None:
    columns = list(next(iter(labels.values())))
    rows = [(name, *(_number(row[column]) for column in columns)) for name, row in labels.items()]
    console.show_table(("label", *columns), rows, title=title)
    if imbalance is not None:
        print(f"The most frequent label occurs {imbalance:.2f} times as often as the rarest (training split).\n")


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.5g}"


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}" for value in values)


def _show_lines(title: str, lines: Sequence[str]) -> None:
    print(f"{title}: {len(lines):,}")
    for line in lines[:LINES_SHOWN]:
        print(f"  {visible_line(line)}")
    if len(lines) > LINES_SHOWN:
        print(f"  and {len(lines) - LINES_SHOWN:,} more")
