"""`pocketzoo info`: a model's card."""

from typing import Annotated

import typer

from ..zoo.registry import model_card
from . import console
from .options import Json


def info(name: Annotated[str, typer.Argument(help="A name from `pocketzoo list`.")], as_json: Json = False) -> None:
    """Show a model's card."""
    card = model_card(name)
    if as_json:
        console.show_json(card.model_dump(mode="json"))
        return
    facts = [
        ("what it is", card.summary),
        ("paper", f"{card.paper.authors}: {card.paper.title}, {card.paper.year}, {card.paper.url}"),
        ("default input", "x".join(map(str, card.input_shape))),
        ("smallest input", f"{card.smallest_input} pixels"),
        ("variable size", "yes" if card.variable_size else "no"),
        ("default classes", card.classes),
        ("parameters", f"{card.trainable_parameters:,} trainable. {' '.join(card.parameters_source.split())}"),
        ("arguments", ", ".join(f"{key}={value!r}" for key, value in card.arguments.items()) or "none"),
        ("weights", ", ".join(card.pretrained) or "none published yet"),
    ]
    console.show_table((card.name, ""), facts)
    rows = [(name, endpoint.layer, endpoint.stride, endpoint.channels) for name, endpoint in card.endpoints.items()]
    console.show_table(("endpoint", "layer", "stride", "channels"), rows)
