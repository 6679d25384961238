"""How commands print evaluations, comparisons and manifests."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..core.atomic_files import atomic_path
from ..core.outputs import map_outputs
from . import console

if TYPE_CHECKING:
    import keras

    from ..export import Manifest
    from ..tasks.evaluation import BaseEvaluation
    from ..training import ImageData, RunResult
    from ..training.compression.pipeline.comparison import ComparedModel, Comparison
    from ..training.compression.pipeline.measurement import ArtifactCost, Footprint

    Evaluation = BaseEvaluation | dict[str, BaseEvaluation]

NOT_AVAILABLE = "-"
"""Shown for a metric that cannot be measured."""
HEADINGS = {"f1-score": "f1", "support": "images"}
COUNTS = {"support", "pixels", "objects", "labeled"}
NUMBER_FORMATS = {
    "loss": ".4f",
    "ROC AUC": ".4f",
    "roc auc": ".4f",
    "mean absolute error": ".5g",
    "root mean square error": ".5g",
    "R2": ".4f",
    "PSNR": ".2f",
    "psnr": ".2f",
    "mae": ".5g",
    "rmse": ".5g",
    "r2": ".4f",
}
"""Formats of the metrics that are not percentages."""


def evaluation_facts(evaluation: "Evaluation") -> dict[str, Any]:
    """Return the metrics as plain data for JSON, by output where there are several."""
    return map_outputs(lambda figures: figures.to_dict(), evaluation)


def show_evaluation(evaluation: "Evaluation", title: str) -> None:
    """Print the metrics of every class or number, then those of the whole split; for each output in turn."""
    if isinstance(evaluation, dict):
        for name, figures in evaluation.items():
            show_evaluation(figures, f"{title}: {name}")
        return
    columns = list(next(iter(evaluation.details.values())))
    what = next(name.removeprefix("per_") for name in vars(evaluation) if name.startswith("per_"))
    rows = [(label, *(metric_text(name, row[name]) for name in columns)) for label, row in evaluation.details.items()]
    console.show_table((what, *(HEADINGS.get(name, name) for name in columns)), rows, title=title)
    (name, first), *others = ((name, metric_text(name, value)) for name, value in evaluation.summary.items())
    first = f"{name[0].upper()}{name[1:]} {first}{_interval(evaluation)} on {evaluation.images} images"
    print(", ".join([first, *(f"{name} {text}" for name, text in others if text != NOT_AVAILABLE)]))


def _interval(evaluation: "BaseEvaluation") -> str:
    """The confidence interval of the first metric in parentheses, without a percent sign."""
    heading, field = next(iter(evaluation.SUMMARY.items()))
    if field not in evaluation.intervals:
        return ""
    low, high = (metric_text(heading, bound, share=".1%").removesuffix("%") for bound in evaluation.intervals[field])
    return f" ({low} to {high})"


def metric_text(name: str, value: float | None, share: str = ".2%") -> str:
    """Return a metric as text: a share in percent, a count as an integer.

    The name may begin with the name of an output.
    """
    if value is None:
        return NOT_AVAILABLE
    if name in COUNTS:
        return f"{value:,.0f}"
    formats = (format for metric, format in NUMBER_FORMATS.items() if name == metric or name.endswith(f" {metric}"))
    return format(value, next(formats, share))


def show_manifest(manifest: "Manifest") -> None:
    """Print one row per artifact, the costs on edge devices, and the skipped checks with their reasons."""
    from ..export.artifact.report import DEVICE_HEADER, HEADER, device_rows, skipped_reasons, table_rows

    title = f"{manifest.model.model}, validated on {manifest.proven_on}; ms: one image, one thread, median"
    console.show_table(HEADER, table_rows(manifest), title=title)
    devices = device_rows(manifest)
    if devices:
        title = "On the device: bytes of RAM and flash; cycles and ms are Vela's estimates"
        console.show_table(DEVICE_HEADER, devices, title=title)
    for reason in skipped_reasons(manifest):
        print(f"Skipped: {reason}")


def compare(models: "Mapping[str, keras.Model]", data: "ImageData | None") -> "Comparison":
    """Compare models by accuracy, size and latency; a reason why nothing was measured goes to standard error."""
    from .. import export, training

    def measure(models: "Mapping[str, keras.Model]") -> "Mapping[str, Footprint]":
        with console.status("Measuring sizes and latencies"):
            return export.measure_footprints(models)

    comparison = training.compare_models(models, data, measure=measure)
    if comparison.not_measured:
        typer.echo(f"Sizes and latencies are not compared: {comparison.not_measured}", err=True)
    return comparison


def show_comparison(comparison: "Comparison", title: str) -> None:
    """Print one row per model."""
    cells = [_comparison_cells(model) for model in comparison.models]
    console.show_table(list(cells[0]), [list(row.values()) for row in cells], title=title)


def _comparison_cells(model: "ComparedModel") -> dict[str, str]:
    """The texts of a model's row by column."""
    from ..training.compression.pipeline.comparison import RUNTIMES

    cells = {"model": model.name} | {name: metric_text(name, value) for name, value in model.headlines.items()}
    footprint, tflite = model.footprint, model.cost("tflite")
    if footprint is None or tflite is None:
        return cells
    return cells | {
        "parameters": f"{footprint.parameters:,}",
        "nonzero": f"{footprint.nonzero:,}",
        "multiply-adds": f"{footprint.multiply_adds:,}",
        ".keras kB": kilobytes(footprint.saved.bytes),
        ".keras.gz": kilobytes(footprint.saved.gzip_bytes),
        "TFLite kB": kilobytes(tflite.size.bytes),
        "TFLite.gz": kilobytes(tflite.size.gzip_bytes),
        **{f"{title} ms": _milliseconds(model.cost(runtime)) for runtime, title in RUNTIMES.items()},
    }


def _milliseconds(cost: "ArtifactCost | None") -> str:
    return NOT_AVAILABLE if cost is None else f"{cost.median_ms:.3f}"


def kilobytes(size: int) -> str:
    """Return a number of bytes in units of 1,000 bytes."""
    return f"{size / 1000:,.0f}"


def show_compression(
    original: "keras.Model",
    result: "RunResult",
    data: "ImageData",
    run_dir: Path,
    title: str,
    *,
    as_json: bool,
    names: tuple[str, str] = ("before", "after"),
) -> None:
    """Print a finished run: its model beside the original one, on the test split and by size and latency.

    Args:
        original: The model before the run, or the teacher.
        result: Result of the run.
        data: The dataset whose test split both models are evaluated on.
        run_dir: Directory of the run.
        title: Title of the table.
        as_json: Print JSON.
        names: Names of the two rows.
    """
    comparison = compare(dict(zip(names, (original, result.model), strict=True)), data)
    best = str(run_dir / "best.keras")
    if as_json:
        console.show_json({"run": result.metrics, "comparison": comparison.to_dict(), "model": best})
        return
    show_comparison(comparison, title)
    typer.echo(f"Model: {best}")


def show_training(result: "RunResult", data: "ImageData", run_dir: Path, *, as_json: bool) -> None:
    """Print the metrics of a finished run on the test split, and write them to `test.json`."""
    from .. import training

    evaluation = training.evaluate(result.model, data)
    facts, best = evaluation_facts(evaluation), str(run_dir / "best.keras")
    with atomic_path(run_dir / "test.json") as temporary:
        temporary.write_text(json.dumps(facts, indent=1))
    if as_json:
        console.show_json({"run": result.metrics, "test": facts, "model": best})
        return
    show_evaluation(evaluation, title=f"{result.model.name} on the test split of {data.source}")
    typer.echo(f"Best model: {best}")
