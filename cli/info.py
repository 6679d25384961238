"""`pocketzoo info`: a model's card, the costs of its stages and its layers; or the metadata of an artifact."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..zoo.cards import ModelCard
from ..zoo.model_files import check_model_file
from ..zoo.registry import model_card
from . import console
from .artifact_info import show_artifact
from .inputs import is_artifact_path, is_model_path
from .model_info import load_with_layers, model_facts, show_facts
from .options import MODEL_FILE, Json
from .tensorflow_import import import_tensorflow

if TYPE_CHECKING:
    from ..zoo import LayerRow

LAYER_HEADER = (
    "layer",
    "type",
    "output",
    "kernel",
    "stride",
    "padding",
    "parameters",
    "multiply-adds",
    "receptive field",
)


def info(
    name: Annotated[
        str,
        typer.Argument(help=f"A name from `pocketzoo list`, a .tflite or .onnx file, {MODEL_FILE}."),
    ],
    layers: Annotated[bool, typer.Option("--layers", help="Show every layer of the flat form.")] = False,
    as_json: Json = False,
) -> None:
    """Show a model's card, its endpoints and the costs of its stages; or how an artifact was made and validated.

    For a model in a file, and for a .tflite or .onnx file of another tool, its inputs, its outputs and what they mean.
    """
    if is_artifact_path(name):
        show_artifact(Path(name), as_json=as_json)
        return
    if is_model_path(name):
        _show_file(Path(name), layers=layers, as_json=as_json)
        return
    card = model_card(name)
    rows = _layer_table(card)
    if as_json:
        facts = card.model_dump(mode="json")
        facts |= {"stages": _stage_costs(rows), "receptive_fields": _receptive_fields(card, rows)}
        console.show_json(facts | ({"layers": [asdict(row) for row in rows]} if layers else {}))
    elif layers:
        console.show_table(LAYER_HEADER, [_layer_cells(row) for row in rows], title=card.name)
    else:
        _show_card(card, rows)


def _show_file(path: Path, *, layers: bool, as_json: bool) -> None:
    """Print what is known of a model in a file, or its layers."""
    check_model_file(path)
    model, rows = load_with_layers(path)
    if as_json:
        console.show_json(
            model_facts(model, rows) | ({"layers": [asdict(row) for row in rows or ()]} if layers else {})
        )
    elif layers and rows:
        console.show_table(LAYER_HEADER, [_layer_cells(row) for row in rows], title=model.name)
    else:
        show_facts(model_facts(model, rows))


def _layer_table(card: ModelCard) -> "list[LayerRow]":
    import_tensorflow()
    from .. import zoo

    with console.status(f"Building {card.name}"):
        return zoo.layer_table(zoo.create_model(card.name))


def _show_card(card: ModelCard, rows: "list[LayerRow]") -> None:
    """Print the card's facts, endpoints and weights, and the costs of the stages."""
    console.show_table((card.name, ""), _facts(card))
    fields = _receptive_fields(card, rows)
    endpoints = [
        (name, endpoint.layer, endpoint.stride, endpoint.channels, _pixels(fields[name]))
        for name, endpoint in card.endpoints.items()
    ]
    console.show_table(("endpoint", "layer", "stride", "channels", "receptive field"), endpoints)
    if card.pretrained:
        weights = [
            (
                tag,
                "-" if entry.top1 is None else f"{entry.top1:.2f}%",
                entry.top1_source,
                entry.licence or "not stated",
                entry.source,
            )
            for tag, entry in card.pretrained.items()
        ]
        console.show_table(("weights", "top-1", "measured by", "license", "source"), weights)
    costs = [
        (stage, f"{cost['parameters']:,}", f"{cost['multiply_adds']:,}") for stage, cost in _stage_costs(rows).items()
    ]
    console.show_table(("stage", "parameters", "multiply-adds"), costs)


def _facts(card: ModelCard) -> list[tuple[str, object]]:
    published = card.published_multiply_adds
    macs = f"{card.multiply_adds:,}" + (f" ({published.value / 1e9:.3g} G in {published.source})" if published else "")
    return [
        ("description", card.summary),
        ("task", card.task),
        ("paper", f"{card.paper.authors}: {card.paper.title}, {card.paper.year}, {card.paper.url}"),
        ("default input", "x".join(map(str, card.input_shape))),
        ("smallest input", f"{card.smallest_input} pixels"),
        ("variable size", "yes" if card.variable_size else "no"),
        ("default classes", card.classes),
        ("trainable parameters", f"{card.trainable_parameters:,}"),
        ("all parameters", f"{card.parameters:,}, including BatchNorm statistics"),
        ("parameter source", " ".join(card.parameters_source.split())),
        ("multiply-adds", macs),
        ("backbone", card.backbone or "none: the model itself is one"),
        ("arguments", ", ".join(f"{key}={value!r}" for key, value in card.arguments.items()) or "none"),
    ]


def _stage_costs(rows: "list[LayerRow]") -> dict[str, dict[str, int]]:
    from ..zoo.layer_table import stage_totals

    totals = stage_totals(row for row in rows if row.stage not in ("image", "pixels"))
    return {stage: {"parameters": parameters, "multiply_adds": macs} for stage, (parameters, macs) in totals.items()}


def _receptive_fields(card: ModelCard, rows: "list[LayerRow]") -> dict[str, int | None]:
    """The receptive field at each endpoint: that of the last flat layer that the endpoint's layer consists of."""
    fields = {}
    for name, endpoint in card.endpoints.items():
        own = [row for row in rows if row.name == endpoint.layer or row.name.startswith(f"{endpoint.layer}_")]
        fields[name] = own[-1].receptive_field
    return fields


def _pixels(receptive_field: int | None) -> str:
    return "whole image" if receptive_field is None else str(receptive_field)


def _layer_cells(row: "LayerRow") -> tuple[str, ...]:
    def cell(value: object) -> str:
        return "-" if value is None else str(value)

    return (
        row.name,
        row.kind,
        "x".join(map(str, row.output_shape)),
        "x".join(map(str, row.kernel_size)) if row.kernel_size else "-",
        cell(row.strides),
        cell(row.padding),
        f"{row.parameters:,}",
        f"{row.multiply_adds:,}",
        _pixels(row.receptive_field),
    )
