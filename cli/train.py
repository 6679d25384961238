"""`pocketzoo train`: a fresh model on a dataset."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import console, options, runs
from .heavy import import_tensorflow
from .options import Changes, Json, Overwrite, RecipeData, RecipeFile, Resume, SkipUnreadable

if TYPE_CHECKING:
    import keras

    from ..training import ImageData, Recipe


def train(
    name: Annotated[str, typer.Argument(help="A name from `pocketzoo list`.")],
    run_dir: Annotated[Path, typer.Option(help="Where the run keeps its files.")],
    data: RecipeData = None,
    image_size: Annotated[
        int | None, typer.Option(min=1, max=4096, help="Side of the images in pixels; the card's by default.")
    ] = None,
    recipe: RecipeFile = None,
    changes: Changes = None,
    skip_unreadable: SkipUnreadable = False,
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Train a fresh model; RUN_DIR/best.keras is the result.

    With --set folds=5 it is cross-validated: trained five times, RUN_DIR/fold-1 and so on.
    """
    from ..zoo.registry import model_card

    model_card(name)  # a wrong name is told at once
    import_tensorflow()
    from .. import training

    how = options.recipe(recipe, changes, training.Recipe())
    images, make = runs.fresh_model(name, data, image_size, how, skip_unreadable)
    directory = {"run_dir": run_dir, "resume": resume, "overwrite": overwrite}
    if how.folds is not None:
        _cross_validate(make, images, how, directory, as_json=as_json)
        return
    result = training.fit(make(), images, how, **directory)
    runs.show_result(result, images, run_dir, as_json=as_json)


def _cross_validate(
    make: Callable[[], "keras.Model"], images: "ImageData", how: "Recipe", directory: dict, *, as_json: bool
) -> None:
    from .. import training

    result = training.cross_validate(make, images, how, **directory)
    if as_json:
        console.show_json(result.to_dict())
        return
    names = [name for name in result.mean if any(fold[name] is not None for fold in result.folds)]
    rows = {f"fold {number}": fold for number, fold in enumerate(result.folds, start=1)}
    rows |= {"mean": result.mean, "deviation": result.deviation}
    texts = [(title, *(console.as_text(name, row[name]) for name in names)) for title, row in rows.items()]
    console.show_table(("", *names), texts, title=f"Validation images of each fold, {images.source}")
