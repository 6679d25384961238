"""`pocketzoo recipe`: a training recipe to start from."""

from typing import Annotated

import typer

from . import console
from .options import Json, ModelName


def recipe(
    name: ModelName,
    fine_tune: Annotated[bool, typer.Option("--fine-tune", help="The recipe for `pocketzoo fine-tune`.")] = False,
    as_json: Json = False,
) -> None:
    """Print a recipe for training a model on your own images, with reasons: `pocketzoo recipe resnet50 > my.yaml`."""
    from ..training.recipe.preset_recipes import preset_file, ready_recipe

    if as_json:
        console.show_json(ready_recipe(name, fine_tune=fine_tune).model_dump(mode="json"))
        return
    typer.echo(preset_file(name, fine_tune=fine_tune).read_text(encoding="utf-8"), nl=False)
