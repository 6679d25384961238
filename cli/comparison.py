"""Models side by side, before and after: how right they are and what they cost, measured on this machine."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..core.atomic_files import atomic_path
from ..core.errors import InputError
from . import console

if TYPE_CHECKING:
    import keras
    from matplotlib.axes import Axes

    from ..export.footprint import ArtifactCost, Footprint
    from ..tasks.evaluation import BaseEvaluation
    from ..training import ImageData

RUNTIMES = {"tflite": "LiteRT", "onnx": "ONNX Runtime"}
"""By how the names of their formats begin."""


@dataclass(frozen=True)
class Row:
    """One model."""

    name: str
    evaluation: "BaseEvaluation | dict[str, BaseEvaluation] | None"
    """None where there is no data."""
    footprint: "Footprint | None"
    """None where the model cannot be exported."""

    @property
    def headlines(self) -> dict[str, float]:
        """Of each output, the figure that people ask for first, on the test split."""
        if self.evaluation is None:
            return {}
        if not isinstance(self.evaluation, dict):
            return dict([next(iter(self.evaluation.summary.items()))])
        firsts = {output: next(iter(figures.summary.items())) for output, figures in self.evaluation.items()}
        return {f"{output} {name}": figure for output, (name, figure) in firsts.items()}

    def cost(self, runtime: str) -> "ArtifactCost | None":
        """Of the artifact for one of `RUNTIMES`; None where the model does not run there."""
        costs = self.footprint.artifacts.items()
        return next((cost for name, cost in costs if name.startswith(runtime)), None)

    def cells(self) -> dict[str, str]:
        """What the table shows, by column."""
        shown = {name: console.as_text(name, figure) for name, figure in self.headlines.items()}
        if self.footprint is None:
            return {"model": self.name} | shown
        saved, lite = self.footprint.saved, self.cost("tflite")
        return {
            "model": self.name,
            **shown,
            "parameters": f"{self.footprint.parameters:,}",
            "not zero": f"{self.footprint.nonzero:,}",
            "multiply-adds": f"{self.footprint.multiply_adds:,}",
            ".keras kB": _kilobytes(saved.bytes),
            ".keras.gz": _kilobytes(saved.gzip_bytes),
            "TFLite kB": _kilobytes(lite.size.bytes),
            "TFLite.gz": _kilobytes(lite.size.gzip_bytes),
            **{f"{title} ms": _milliseconds(self.cost(runtime)) for runtime, title in RUNTIMES.items()},
        }

    def to_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return {
            "model": self.name,
            "test": self.evaluation and console.evaluation_facts(self.evaluation),
            "footprint": self.footprint and self.footprint.to_dict(),
        }


@dataclass(frozen=True)
class Comparison:
    """The rows, and what to do with them."""

    rows: list[Row]

    def show(self, title: str) -> None:
        """Prints one row a model."""
        cells = [row.cells() for row in self.rows]
        console.show_table(list(cells[0]), [list(row.values()) for row in cells], title=title)

    def to_dict(self) -> list[dict[str, Any]]:
        """The same for JSON."""
        return [row.to_dict() for row in self.rows]

    def write(self, stem: Path) -> None:
        """Keeps the facts as `<stem>.json` and, where latency was measured, a picture of them as `<stem>.png`."""
        with atomic_path(stem.with_suffix(".json")) as temporary:
            temporary.write_text(json.dumps(self.to_dict(), indent=1))
        if self.rows[0].footprint is not None:
            with atomic_path(stem.with_suffix(".png")) as temporary:
                self._plot(temporary)

    def _plot(self, path: Path) -> None:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(10, 4), layout="constrained")
        by_time, by_size = figure.subplots(1, 2, sharey=True)
        for runtime, marker in zip(RUNTIMES, "os", strict=True):
            costs = {row.name: row.cost(runtime) for row in self.rows}
            self._points(
                by_time, {name: cost.median_ms for name, cost in costs.items() if cost}, marker, RUNTIMES[runtime]
            )
        self._points(by_size, {row.name: row.cost("tflite").size.gzip_bytes / 1e6 for row in self.rows}, "o", "LiteRT")
        by_time.set(xlabel="ms an image, one thread", ylabel=next(iter(self.rows[0].headlines)))
        by_time.legend(loc="lower right")
        by_size.set(xlabel="MB of the TFLite file, gzipped")
        for axes in (by_time, by_size):
            axes.set_xlim(0, 1.25 * axes.dataLim.x1)  # room for the names
            axes.grid(alpha=0.3)
        figure.savefig(path, format="png", dpi=110)

    def _points(self, axes: "Axes", costs: dict[str, float], marker: str, runtime: str) -> None:
        """The rows by what they cost and how right they are; named in LiteRT, where all of them run."""
        right = {row.name: next(iter(row.headlines.values())) for row in self.rows}
        axes.plot([*costs.values()], [right[name] for name in costs], marker, alpha=0.8, label=runtime)
        for name, cost in costs.items() if runtime == "LiteRT" else ():
            axes.annotate(name, (cost, right[name]), xytext=(4, 4), textcoords="offset points", fontsize="small")


def compare(models: "Mapping[str, keras.Model]", data: "ImageData | None") -> Comparison:
    """Evaluates all `models` on the test split of `data`, if there is some, and measures what they cost, in turn, as
    they would ship.

    A model that was trained to be quantised is measured in integers, any other in float32. Where one cannot be
    exported the sentence that says why goes to standard error, and nothing but the evaluation is compared.

    Args:
        models: By the name that their row gets.
        data: What all of them answer.
    """
    from .. import training
    from ..export.footprint import footprints, shipped_formats

    evaluations = {name: data and training.evaluate(model, data) for name, model in models.items()}
    try:
        with console.status("Measuring sizes and latencies"):
            costs = footprints(models, {name: shipped_formats(model) for name, model in models.items()})
    except InputError as error:
        typer.echo(f"Sizes and latencies are not compared: {error}", err=True)
        costs = dict.fromkeys(models)
    return Comparison([Row(name, evaluations[name], costs[name]) for name in models])


def _milliseconds(cost: "ArtifactCost | None") -> str:
    return console.NOTHING if cost is None else f"{cost.median_ms:.3f}"


def _kilobytes(size: int) -> str:
    return f"{size / 1000:,.0f}"
