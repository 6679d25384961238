"""Options that several commands share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import InputError

if TYPE_CHECKING:
    from ..training import ImageData, Recipe
    from ..zoo.cards import ModelCard

Json = Annotated[bool, typer.Option("--json", help="Print the facts as JSON.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace what an earlier command of this kind left there.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in the run directory.")]
Data = Annotated[
    str,
    typer.Option(
        "--data",
        help="'digits' or 'digit-scenes'; a folder with one sub-folder of images a class, or with train, val and test "
        "folders of these; a CSV file with a column 'image' and one called label, labels or mask, or columns of "
        "numbers; a folder of shards; or 'tfds:NAME'.",
    ),
]
RecipeData = Annotated[str | None, *Data.__metadata__]
"""The same, where the recipe's `data.source` may say it."""
SkipUnreadable = Annotated[
    bool,
    typer.Option("--skip-unreadable", help="Leave out images that cannot be read, and name them, instead of stopping."),
]
RecipeFile = Annotated[Path | None, typer.Option("--recipe", help="YAML file of the recipe.")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", help="A field of the recipe: --set epochs=5, --set optimizer.lr=0.1; repeatable."),
]


def default_weights(card: "ModelCard") -> str:
    """The first of the card's tags, for a model by name."""
    if not card.pretrained:
        raise InputError(f"{card.name} has no published weights; give a file with --weights, or take another model.")
    return next(iter(card.pretrained))


def load(source: str, shape: tuple[int | None, ...], skip_unreadable: bool) -> "ImageData":
    """The dataset with images of `shape` (height, width, channels); says on standard error what was left out."""
    from ..training import load_data

    height, width, channels = shape
    data = load_data(
        source,
        image_size=None if None in (height, width) else (height, width),
        channels=channels,
        on_unreadable="skip" if skip_unreadable else "raise",
    )
    for path in data.skipped:
        typer.echo(f"Left out, cannot be read: {path}", err=True)
    if data.skipped:
        typer.echo(f"{len(data.skipped)} images left out.", err=True)
    return data


def recipe(file: Path | None, changes: list[str] | None, default: "Recipe") -> "Recipe":
    """The recipe of a file (or the default) with fields changed."""
    fields: dict[str, Any] = {}
    for change in changes or []:
        _set(fields, change)
    return (type(default).load(file) if file else default).changed(**fields)


def _set(fields: dict[str, Any], change: str) -> None:
    """Adds what one `--set` says to the `fields` of the recipe: `epochs=5`, `optimizer=lion`, `optimizer.lr=0.1`."""
    import yaml

    path, equals, text = change.partition("=")
    if not equals:
        raise InputError(f"--set {change!r} is no field=value.")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"--set {change!r}: {text!r} is no YAML value.") from error
    *sections, field = path.split(".")
    for section in sections:
        if not isinstance(fields.get(section), dict):  # a name that was set before it
            fields[section] = {"name": fields[section]} if section in fields else {}
        fields = fields[section]
    fields[field] = value
