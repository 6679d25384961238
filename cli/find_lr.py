"""`pocketzoo find-lr`: what learning rate to train with."""

from pathlib import Path
from typing import Annotated

import typer

from . import console, options, runs
from .heavy import import_tensorflow
from .options import Changes, Json, RecipeData, RecipeFile, SkipUnreadable


def find_lr(
    name: Annotated[str, typer.Argument(help="A name from `pocketzoo list`.")],
    data: RecipeData = None,
    image_size: Annotated[
        int | None, typer.Option(min=1, max=4096, help="Side of the images in pixels; the card's by default.")
    ] = None,
    recipe: RecipeFile = None,
    changes: Changes = None,
    plot: Annotated[Path | None, typer.Option(help="Where to draw the losses against the rates, a PNG.")] = None,
    skip_unreadable: SkipUnreadable = False,
    as_json: Json = False,
) -> None:
    """Train a fresh model for 100 batches at ever higher learning rates, and suggest one for the recipe."""
    from ..zoo.registry import model_card

    model_card(name)
    import_tensorflow()
    from .. import training

    how = options.recipe(recipe, changes, training.Recipe())
    images, make = runs.fresh_model(name, data, image_size, how, skip_unreadable)
    with console.status("Trying learning rates"):
        search = training.find_learning_rate(make(), images, how)
    if plot is not None:
        search.plot(plot)
    if as_json:
        console.show_json(search.to_dict())
        return
    shown = range(0, len(search.rates), 5)
    rows = [(f"{search.rates[step]:.1e}", f"{search.smoothed[step]:.4f}") for step in shown]
    console.show_table(("learning rate", "loss, smoothed"), rows, title=f"{name} on {images.source}")
    typer.echo(f"The loss falls fastest at {search.suggestion:.2g}: --set optimizer.lr={search.suggestion:.2g}")
