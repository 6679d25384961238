"""Metrics of every epoch of a run."""

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.csv_tables import write_csv
from ...core.pictures import save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass
class History:
    """Metrics by epoch, such as `loss`, `accuracy`, `val_loss`, `val_accuracy`, and the `learning_rate` at its end."""

    epochs: list[dict[str, float]]
    phases: list[int] = field(default_factory=lambda: [0])
    """Index of the first epoch of each phase that has begun."""
    step: int = 0
    """Finished batches of the epoch after these."""
    stopped: bool = False
    """Whether a callback of the user ended the current phase after these epochs."""

    def __len__(self) -> int:
        """Number of finished epochs."""
        return len(self.epochs)

    @property
    def in_phase(self) -> int:
        """Number of finished epochs of the current phase."""
        return len(self) - self.phases[-1]

    def best_epoch(self, first: int = 0) -> int | None:
        """Return the index of the epoch with the least validation loss from `first` on; the earlier one of equals."""
        candidates = range(first, len(self.epochs))
        return min(candidates, key=lambda epoch: self.epochs[epoch]["val_loss"], default=None)

    def is_exhausted(self, patience: int | None, first: int = 0) -> bool:
        """Return whether the current phase has had `patience` epochs without a new best one."""
        best = self.best_epoch(first)
        return patience is not None and best is not None and len(self) - max(best + 1, self.phases[-1]) >= patience

    def to_csv(self) -> str:
        """Return one row per epoch, counted from 1."""
        text = io.StringIO()
        names = dict.fromkeys(name for epoch in self.epochs for name in epoch)
        rows = ([number, *map(epoch.get, names)] for number, epoch in enumerate(self.epochs, start=1))
        write_csv(text, [["epoch", *names], *rows])
        return text.getvalue()

    def plot(self, path: Path) -> None:
        """Draw loss and metrics by epoch, training and validation in one chart, and the learning rate, as a PNG.

        Lines mark where phases of fine-tuning begin, and the epoch with the least validation loss.
        """
        save_figure(self.figure(), path)

    def figure(self) -> "Figure":
        """Return what `plot` draws."""
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator

        epochs = range(1, len(self) + 1)
        names = self.epochs[0]
        metrics = sorted((name for name in names if f"val_{name}" in names), key=lambda name: name != "loss")
        rates = ["learning_rate"] if "learning_rate" in names else []
        figure = Figure(figsize=(4.5 * len([*metrics, *rates]), 3.4), layout="constrained")
        panels = figure.subplots(1, len([*metrics, *rates]), squeeze=False)[0]
        for axes, metric in zip(panels, [*metrics, *rates], strict=True):
            for prefix, label in (("", "train"), ("val_", "validation")):
                if prefix + metric in names:
                    axes.plot(epochs, [epoch[prefix + metric] for epoch in self.epochs], label=label)
            axes.set_xlabel("epoch")
            axes.set_ylabel(metric.replace("_", " "), parse_math=False)  # it has the names of outputs
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.grid(alpha=0.3)
            self._mark(axes)
            if metric not in rates:
                axes.legend()
        return figure

    def _mark(self, axes: "Axes") -> None:
        """Mark where each phase begins, and the best epoch."""
        for number, first in enumerate(self.phases, start=1):
            if len(self.phases) > 1:
                axes.axvline(first + 0.5, color="0.5", linestyle=":", linewidth=1)
                place: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
                axes.annotate(
                    f"phase {number}", (first + 0.5, 1), (2, 2), va="bottom", fontsize="small", color="0.4", **place
                )
        best = self.best_epoch() if all("val_loss" in epoch for epoch in self.epochs) else None
        if best is not None:
            axes.axvline(best + 1, color="C2", linestyle="--", linewidth=1, label="least validation loss")
