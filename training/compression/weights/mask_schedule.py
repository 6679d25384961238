"""When the masks of pruning are updated."""

from collections.abc import Callable
from dataclasses import dataclass

from ....core.errors import InputError
from .sparsity import Sparsity

UPDATES = 20
"""Of the masks over the schedule. Few large cuts hurt more than many small ones."""


@dataclass(frozen=True)
class Timetable:
    """Updates of the masks, numbered from 0: one every `frequency` steps, the last of which reaches the target."""

    begin: int
    """Step of the first."""
    frequency: int
    last: int
    """Number of the last."""

    @classmethod
    def of(cls, how: Sparsity, steps: float) -> "Timetable":
        """That of a run of `steps` changes of the weights.

        Raises:
            InputError: `how.frequency` is longer than the schedule.
        """
        begin = int(how.begin * steps)
        if how.schedule == "constant":
            return cls(begin, 1, 0)
        length = max(1, int(how.end * steps) - begin)
        frequency = how.frequency or max(1, length // UPDATES)
        if frequency > length:
            raise InputError(f"frequency is {frequency}; it takes 1 to {length} steps, the length of the schedule.")
        return cls(begin, frequency, length // frequency)

    @property
    def end(self) -> int:
        """Step of the last update."""
        return self.step(self.last)

    def step(self, number: int) -> int:
        """Step of the update of that number."""
        return self.begin + number * self.frequency

    def due(self, step: int) -> int:
        """Number of the last update up to `step`; -1 before the first."""
        return min(self.last, max(-1, (step - self.begin) // self.frequency))


def schedule_of(how: Sparsity, target: float, times: Timetable) -> Callable[[int], float]:
    """Return TF-MOT's schedule: from a step to the fraction of zeros, 0..1, up to `target`."""
    from ....core.tfmot_private import constant_sparsity, polynomial_decay

    if how.schedule == "constant":
        return constant_sparsity(target, begin=times.begin)
    return polynomial_decay(
        min(how.initial, target), target, begin=times.begin, end=times.end, frequency=times.frequency
    )
