"""What every epoch measured."""

import csv
import io
from dataclasses import dataclass


@dataclass(frozen=True)
class History:
    """Metrics by epoch, such as `loss`, `accuracy`, `val_loss`, `val_accuracy`."""

    epochs: list[dict[str, float]]

    def __len__(self) -> int:
        """Number of finished epochs."""
        return len(self.epochs)

    def best_epoch(self, first: int = 0) -> int | None:
        """Index of the epoch of least validation loss from `first` on; the earlier one where two are equal."""
        candidates = range(first, len(self.epochs))
        return min(candidates, key=lambda epoch: self.epochs[epoch]["val_loss"], default=None)

    def is_exhausted(self, patience: int | None, first: int = 0) -> bool:
        """Whether `patience` epochs have gone by since the best one."""
        best = self.best_epoch(first)
        return patience is not None and best is not None and len(self) - 1 - best >= patience

    def to_csv(self) -> str:
        """One row an epoch, counted from 1."""
        text = io.StringIO()
        writer = csv.DictWriter(text, ["epoch", *self.epochs[0]])
        writer.writeheader()
        writer.writerows({"epoch": number, **epoch} for number, epoch in enumerate(self.epochs, start=1))
        return text.getvalue()
