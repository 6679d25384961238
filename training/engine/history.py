"""What every epoch measured."""

import csv
import io
from dataclasses import dataclass, field


@dataclass
class History:
    """Metrics by epoch, such as `loss`, `accuracy`, `val_loss`, `val_accuracy`, and the `learning_rate` at its end."""

    epochs: list[dict[str, float]]
    phases: list[int] = field(default_factory=lambda: [0])
    """Index of the first epoch of each phase of the run that has begun."""
    step: int = 0
    """Batches that are done of the epoch after these."""

    def __len__(self) -> int:
        """Number of finished epochs."""
        return len(self.epochs)

    @property
    def in_phase(self) -> int:
        """Number of finished epochs of the phase that began last."""
        return len(self) - self.phases[-1]

    def best_epoch(self, first: int = 0) -> int | None:
        """Index of the epoch of least validation loss from `first` on; the earlier one where two are equal."""
        candidates = range(first, len(self.epochs))
        return min(candidates, key=lambda epoch: self.epochs[epoch]["val_loss"], default=None)

    def is_exhausted(self, patience: int | None, first: int = 0) -> bool:
        """Whether the last phase has gone on for `patience` epochs without a better one than all before."""
        best = self.best_epoch(first)
        return patience is not None and best is not None and len(self) - max(best + 1, self.phases[-1]) >= patience

    def to_csv(self) -> str:
        """One row an epoch, counted from 1."""
        text = io.StringIO()
        names = dict.fromkeys(name for epoch in self.epochs for name in epoch)
        writer = csv.DictWriter(text, ["epoch", *names])
        writer.writeheader()
        writer.writerows({"epoch": number, **epoch} for number, epoch in enumerate(self.epochs, start=1))
        return text.getvalue()
