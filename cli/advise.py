"""`pocketzoo advise`: which compression methods pay on a target, before hours of training."""

import platform
from typing import Annotated

import typer

from . import console
from .inputs import check_model, open_model
from .options import Json, NameOrFile, Weights
from .results import kilobytes
from .tensorflow_import import import_tensorflow


def advise(
    model: NameOrFile,
    target: Annotated[str, typer.Option(help="mobile, edge, web or server.")] = "mobile",
    weights: Weights = None,
    as_json: Json = False,
) -> None:
    """Measure on this machine what int8, fewer channels and zero weights bring, without training anything."""
    from ..training.compression.pipeline.goals import goal_of

    goal_of(target)
    check_model(model, weights)
    import_tensorflow()
    from .. import export, training

    loaded = open_model(model, weights)
    with console.status("Converting and measuring"):
        advice = training.advise(loaded, target, measure=export.measure_artifacts)
    for method, reason in advice.not_measured.items():
        typer.echo(f"Not measured: {method}: {reason}", err=True)
    if as_json:
        console.show_json(advice.to_dict())
        return
    original = advice.baseline
    rows = [("as it is", *_cells(original.size.bytes, original.size.gzip_bytes, original.median_ms), "")]
    rows += [(row.method, *_cells(row.bytes, row.gzip_bytes, row.median_ms), row.advice) for row in advice.methods]
    runtime = {"tflite": "LiteRT", "onnx": "ONNX Runtime"}[advice.runtime]
    title = f"{advice.model} for {target}, measured in {runtime} on this {platform.machine()} machine, one thread"
    console.show_table(("method", "kB", "gzipped", "ms", "advice"), rows, title=title)
    typer.echo("Only sizes and latencies are measured. The loss of accuracy depends on training and data.")


def _cells(size: int, gzipped: int, ms: float) -> tuple[str, str, str]:
    return kilobytes(size), kilobytes(gzipped), f"{ms:.3f}"
