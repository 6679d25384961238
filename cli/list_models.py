"""`pocketzoo list`: the available models."""

from typing import Annotated

import typer

from ..zoo import registry
from . import console
from .options import Json


def list_models(
    pattern: Annotated[str, typer.Argument(help="Shell-style wildcards, such as 'resnet*'.")] = "*",
    task: Annotated[str | None, typer.Option(help="Only models for a task, such as 'segmentation'.")] = None,
    max_params: Annotated[float | None, typer.Option(min=0, help="Largest number of parameters, such as 5e6.")] = None,
    max_macs: Annotated[float | None, typer.Option(min=0, help="Most multiply-adds per image, such as 3e8.")] = None,
    pretrained: Annotated[bool, typer.Option("--pretrained", help="Only models with published weights.")] = False,
    as_json: Json = False,
) -> None:
    """List the models whose names match a pattern."""
    names = registry.list_models(
        pattern, task=task, max_params=max_params, max_macs=max_macs, pretrained=pretrained or None
    )
    cards = [registry.model_card(name) for name in names]
    if as_json:
        console.show_json([card.model_dump(mode="json") for card in cards])
        return
    if not cards:
        print("No model matches.")
        return
    rows = [
        (
            card.name,
            f"{card.parameters:,}",
            f"{card.multiply_adds / 1e6:,.1f} M",
            "x".join(map(str, card.input_shape)),
            card.classes,
            card.summary,
        )
        for card in cards
    ]
    console.show_table(("model", "parameters", "multiply-adds", "input", "classes", "description"), rows)
