"""Plot of how widths shrink."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ....core.pictures import save_figure

if TYPE_CHECKING:
    from .prune_result import PruneResult


def stage_widths(widths: Mapping[str, int]) -> dict[str, int]:
    """Return the total channels by stage, a layer's name up to the first underscore."""
    totals: dict[str, int] = {}
    for name, width in widths.items():
        stage = name.split("_")[0]
        totals[stage] = totals.get(stage, 0) + width
    return totals


def draw_widths(result: "PruneResult", path: Path) -> None:
    """Draw, as a PNG, the width of every layer after every step, and of every stage by step."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    states = [{name: before for name, (before, _) in result.widths.items()}, *(step.widths for step in result.history)]
    figure = Figure(figsize=(11, 4), layout="constrained")
    by_layer, by_stage = figure.subplots(1, 2, width_ratios=(2, 1))
    indices = range(1, len(result.widths) + 1)
    for step, widths in enumerate(states):
        shade = str(0.8 * (1 - step / (len(states) - 1)))
        by_layer.step(indices, [widths[name] for name in result.widths], where="mid", color=shade, label=f"step {step}")
    by_layer.set(xlabel="convolution or dense layer, in order", ylabel="channels")
    by_layer.set_title(result.model.name, parse_math=False)
    by_layer.legend()
    totals = [stage_widths(widths) for widths in states]
    for stage, whole in totals[0].items():
        by_stage.plot(range(len(states)), [100 * total[stage] / whole for total in totals], marker=".", label=stage)
    by_stage.set(xlabel="step", ylabel="remaining channels, %", ylim=(0, 105))
    by_stage.xaxis.set_major_locator(MaxNLocator(integer=True))
    for text in by_stage.legend(fontsize="small").get_texts():
        text.set_parse_math(False)  # stages are named after layers
    for axes in (by_layer, by_stage):
        axes.grid(alpha=0.3)
    save_figure(figure, path)
