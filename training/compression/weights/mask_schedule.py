"""The steps at which pruning masks are updated."""

from collections.abc import Callable
from dataclasses import dataclass

from ....core.errors import InputError
from .sparsity import Sparsity

UPDATES = 20
"""Default number of mask updates over the schedule. A few large cuts cost more accuracy than many small ones."""


@dataclass(frozen=True)
class MaskSchedule:
    """Mask updates, numbered from 0: one every `frequency` steps, the last of which reaches the target."""

    begin: int
    """Step of the first update."""
    frequency: int
    """Steps between two updates."""
    last: int
    """Number of the last update."""

    @classmethod
    def of(cls, sparsity: Sparsity, steps: float) -> "MaskSchedule":
        """Return the schedule for a run in which the optimizer changes the weights `steps` times.

        Raises:
            InputError: `sparsity.frequency` is longer than the schedule.
        """
        begin = int(sparsity.begin * steps)
        if sparsity.schedule == "constant":
            return cls(begin, 1, 0)
        length = max(1, int(sparsity.end * steps) - begin)
        frequency = sparsity.frequency or max(1, length // UPDATES)
        if frequency > length:
            raise InputError(f"frequency is {frequency}; it takes 1 to {length} steps, the length of the schedule.")
        return cls(begin, frequency, length // frequency)

    @property
    def end(self) -> int:
        """Step of the last update."""
        return self.step(self.last)

    def step(self, number: int) -> int:
        """Return the step of an update."""
        return self.begin + number * self.frequency

    def due(self, step: int) -> int:
        """Return the number of the latest update that is due at `step`; -1 before the first."""
        return min(self.last, max(-1, (step - self.begin) // self.frequency))


def schedule_of(settings: Sparsity, target: float, schedule: MaskSchedule) -> Callable[[int], float]:
    """Return TF-MOT's sparsity schedule: from a step to the share of zeros, 0..1, up to `target`."""
    from ....core.tfmot_private import constant_sparsity, polynomial_decay

    if settings.schedule == "constant":
        return constant_sparsity(target, begin=schedule.begin)
    return polynomial_decay(
        min(settings.initial, target), target, begin=schedule.begin, end=schedule.end, frequency=schedule.frequency
    )
