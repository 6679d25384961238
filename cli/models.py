"""`pocketzoo list`: the models there are."""

from typing import Annotated

import typer

from ..zoo import registry
from . import console
from .options import Json


def list_models(
    pattern: Annotated[str, typer.Argument(help="Shell-style wildcards, such as 'resnet*'.")] = "*",
    as_json: Json = False,
) -> None:
    """List the models whose names match."""
    cards = [registry.model_card(name) for name in registry.list_models(pattern)]
    if as_json:
        console.show_json([card.model_dump(mode="json") for card in cards])
        return
    rows = [
        (card.name, f"{card.trainable_parameters:,}", "x".join(map(str, card.input_shape)), card.classes, card.summary)
        for card in cards
    ]
    console.show_table(("model", "parameters", "input", "classes", "what it is"), rows)
