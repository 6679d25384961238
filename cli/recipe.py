"""`pocketzoo recipe`: a recipe to begin with."""

from typing import Annotated

import typer

from . import console
from .options import Json


def recipe(
    name: Annotated[str, typer.Argument(help="A name from `pocketzoo list`.")],
    fine_tune: Annotated[bool, typer.Option("--fine-tune", help="For `pocketzoo fine-tune`.")] = False,
    as_json: Json = False,
) -> None:
    """Print a recipe for a model on one's own images, with the reasons: `pocketzoo recipe resnet50 > my.yaml`."""
    from ..training.recipe.preset_recipes import preset_file, ready_recipe

    if as_json:
        console.show_json(ready_recipe(name, fine_tune=fine_tune).model_dump(mode="json"))
        return
    typer.echo(preset_file(name, fine_tune=fine_tune).read_text(encoding="utf-8"), nl=False)
