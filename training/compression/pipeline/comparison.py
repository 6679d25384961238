"""Models side by side: accuracy on the test split, and sizes and latencies measured on this machine."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from ....core.arguments import check_arguments
from ....core.atomic_files import atomic_path
from ....core.errors import InputError
from ....core.outputs import map_outputs
from ....core.pictures import save_figure
from ....core.point_labels import label_points
from ....core.short_repr import ShortRepr
from ....tasks.evaluation import BaseEvaluation
from ...data.images import ImageData
from ...evaluation.evaluate import evaluate
from .measurement import ArtifactCost, Footprint, MeasureFootprints

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RUNTIMES = {"tflite": "LiteRT", "onnx": "ONNX Runtime"}
"""Name of each runtime, by the prefix of the names of its formats."""


@dataclass(frozen=True)
class ComparedModel(ShortRepr):
    """One model of a comparison."""

    name: str
    evaluation: BaseEvaluation | dict[str, BaseEvaluation] | None
    """By output where there are several; None without data."""
    footprint: Footprint | None
    """None where nothing was measured."""

    @property
    def headlines(self) -> dict[str, float | None]:
        """The most important metric of each output on the test split, such as `{"accuracy": 0.98}`."""
        if self.evaluation is None:
            return {}
        if not isinstance(self.evaluation, dict):
            return dict([next(iter(self.evaluation.summary.items()))])
        firsts = {output: next(iter(figures.summary.items())) for output, figures in self.evaluation.items()}
        return {f"{output} {name}": value for output, (name, value) in firsts.items()}

    def cost(self, runtime: str) -> ArtifactCost | None:
        """Return the cost in one of `RUNTIMES`, or None where the model was not measured in it."""
        artifacts = self.footprint.artifacts if self.footprint else {}
        return next((cost for format, cost in artifacts.items() if format.startswith(runtime)), None)

    def to_dict(self) -> dict[str, Any]:
        """All figures as plain data, for JSON."""
        return {
            "model": self.name,
            "test": self.evaluation and map_outputs(lambda figures: figures.to_dict(), self.evaluation),
            "footprint": self.footprint and self.footprint.to_dict(),
        }


@dataclass(frozen=True)
class Comparison(ShortRepr):
    """Several models side by side."""

    models: tuple[ComparedModel, ...]
    not_measured: str | None = None
    """Why there are no sizes and latencies; None if there are, or if nobody wanted them."""

    def to_dict(self) -> list[dict[str, Any]]:
        """All figures as plain data, for JSON."""
        return [model.to_dict() for model in self.models]

    def write(self, stem: Path) -> None:
        """Write `<stem>.json` and, where accuracy and latency were measured, a plot of them, `<stem>.png`."""
        with atomic_path(stem.with_suffix(".json")) as temporary:
            temporary.write_text(json.dumps(self.to_dict(), indent=1))
        if all(model.footprint and model.headlines for model in self.models):
            with atomic_path(stem.with_suffix(".png")) as temporary:
                self._plot(temporary)

    def _plot(self, path: Path) -> None:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(10, 4), layout="constrained")
        by_latency, by_size = figure.subplots(1, 2, sharey=True)
        named: dict[Axes, dict[str, float]] = {}
        for runtime, marker in zip(RUNTIMES, "os", strict=True):
            costs = {model.name: cost for model in self.models if (cost := model.cost(runtime))}
            latencies = {name: cost.median_ms for name, cost in costs.items()}
            self._plot_points(by_latency, latencies, marker, RUNTIMES[runtime])
            if runtime == "tflite":  # in which all models run
                sizes = {name: cost.size.gzip_bytes / 1e6 for name, cost in costs.items()}
                self._plot_points(by_size, sizes, marker, RUNTIMES[runtime])
                named = {by_latency: latencies, by_size: sizes}
        by_latency.set_xlabel("ms per image, one thread")
        by_latency.set_ylabel(next(iter(self.models[0].headlines)), parse_math=False)
        figure.legend(*by_latency.get_legend_handles_labels(), loc="outside upper center", ncols=2)
        by_size.set(xlabel="MB of the TFLite file, gzipped")
        for axes in (by_latency, by_size):
            axes.set_xlim(0, 1.25 * axes.dataLim.x1)  # room for the names
            axes.margins(y=0.15)
            axes.grid(alpha=0.3)
        for axes, places in named.items():
            label_points(axes, {name: (cost, self._metric(name)) for name, cost in places.items()})
        save_figure(figure, path)

    def _plot_points(self, axes: "Axes", costs: dict[str, float], marker: str, runtime: str) -> None:
        """Plot the models' first metric over their costs."""
        axes.plot([*costs.values()], [self._metric(name) for name in costs], marker, alpha=0.8, label=runtime)

    def _metric(self, name: str) -> float:
        """Return the first metric of a model; NaN where it has none."""
        model = next(model for model in self.models if model.name == name)
        value = next(iter(model.headlines.values()))
        return math.nan if value is None else value


@check_arguments
def compare_models(
    models: Mapping[str, keras.Model], data: ImageData | None = None, *, measure: MeasureFootprints | None = None
) -> Comparison:
    """Evaluate models on the same test split, and measure their sizes and latencies side by side.

    Args:
        models: The models by the names to show.
        data: The dataset whose test split all models are evaluated on; without it accuracy is not compared.
        measure: Measures the exported models, such as `export.measure_footprints`; without it sizes and latencies
            are not compared.

    Returns:
        The figures of every model. Where one of them cannot be exported, none is measured and `not_measured` has the
        reason.

    Raises:
        InputError: A model does not fit the data.
    """
    evaluations = {name: evaluate(model, data) if data else None for name, model in models.items()}
    footprints: Mapping[str, Footprint] = {}
    reason = None
    if measure is not None:
        try:
            footprints = measure(models)
        except InputError as error:
            reason = str(error)
    return Comparison(
        tuple(ComparedModel(name, evaluations[name], footprints.get(name)) for name in models), not_measured=reason
    )
