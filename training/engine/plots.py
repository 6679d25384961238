"""Pictures of a run."""

from pathlib import Path

from .history import History


def plot_curves(history: History, path: Path) -> None:
    """Draws loss and metrics by epoch, train beside validation, and the learning rate, as a PNG."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    epochs = range(1, len(history) + 1)
    names = history.epochs[0]
    metrics = sorted((name for name in names if f"val_{name}" in names), key=lambda name: name != "loss")
    rates = ["learning_rate"] if "learning_rate" in names else []
    figure = Figure(figsize=(4.5 * len([*metrics, *rates]), 3.4), layout="constrained")
    panels = figure.subplots(1, len([*metrics, *rates]), squeeze=False)[0]
    for axes, metric in zip(panels, [*metrics, *rates], strict=True):
        for prefix, name in (("", "train"), ("val_", "validation")):
            if prefix + metric in names:
                axes.plot(epochs, [epoch[prefix + metric] for epoch in history.epochs], label=name)
        axes.set(xlabel="epoch", ylabel=metric.replace("_", " "))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        if metric not in rates:
            axes.legend()
    figure.savefig(path, format="png", dpi=110)
