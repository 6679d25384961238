"""Pictures of a run."""

from pathlib import Path

from .history import History


def plot_curves(history: History, path: Path) -> None:
    """Draws loss and metrics by epoch, train beside validation, as a PNG."""
    from matplotlib.figure import Figure

    epochs = range(1, len(history) + 1)
    measured = [name for name in history.epochs[0] if f"val_{name}" in history.epochs[0]]
    metrics = sorted(measured, key=lambda name: name != "loss")
    figure = Figure(figsize=(4.5 * len(metrics), 3.4), layout="constrained")
    for axes, metric in zip(figure.subplots(1, len(metrics), squeeze=False)[0], metrics, strict=True):
        for prefix, name in (("", "train"), ("val_", "validation")):
            axes.plot(epochs, [epoch[prefix + metric] for epoch in history.epochs], label=name)
        axes.set(xlabel="epoch", ylabel=metric)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, format="png", dpi=110)
