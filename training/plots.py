"""Pictures of a run."""

from pathlib import Path

from .history import History


def plot_curves(history: History, path: Path) -> None:
    """Draws loss and accuracy by epoch, train beside validation, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    epochs = range(1, len(history) + 1)
    for axes, metric in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for prefix, name in (("", "train"), ("val_", "validation")):
            axes.plot(epochs, [epoch[prefix + metric] for epoch in history.epochs], label=name)
        axes.set(xlabel="epoch", ylabel=metric)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, format="png", dpi=110)
