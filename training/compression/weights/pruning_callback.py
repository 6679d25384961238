"""The callback that prunes a model during Keras' own `fit`."""

from collections.abc import Sequence
from typing import Any

import keras

from ....core.errors import InputError
from ....core.layer_traits import KernelLayout
from .mask_schedule import MaskSchedule, schedule_of
from .masks import Masked, Masks
from .sparsity import Sparsity

SPARSITY_TOLERANCE = 1e-3
"""Allowed error of a share of zeros. Weights of equal magnitude are kept together."""


class PruningCallback(keras.callbacks.Callback):
    """Updates the masks according to `optimizer.iterations`.

    This also works where one batch in the logs is several steps: an update whose step was passed in between is done at
    the next opportunity. At the end of training the kernels get their own constraints back, so further training does
    not keep the zeros.

    Args:
        kernels: Variables to prune.
        targets: Target share of zeros of each kernel, 0..1.
        settings: Pattern, scope and type of schedule.
        schedule: Steps of the mask updates.
        layouts: What the axes of each kernel run over, as in `Masks`.
        last_epoch: Index of the epoch that ends with the target even if some steps changed no weight, as with float16,
            where steps that overflow are skipped; by default only `schedule` decides.

    Raises:
        InputError: Training ended before the schedule, or began with an optimizer that is past its beginning.
    """

    def __init__(
        self,
        kernels: Sequence[keras.Variable],
        targets: Sequence[float],
        settings: Sparsity,
        schedule: MaskSchedule,
        *,
        layouts: Sequence[KernelLayout] | None = None,
        last_epoch: int | None = None,
    ):
        super().__init__()
        self._kernels = kernels
        self._targets = targets
        self._settings = settings
        self._schedule = schedule
        self._last_epoch = last_epoch
        self._layouts = layouts

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Mask the weights that are zero already, which restores the masks of a resumed run."""
        self._sparsity_at = [schedule_of(self._settings, target, self._schedule) for target in self._targets]
        with self.model.distribute_strategy.scope():
            self._masks = Masks(self._kernels, self._settings, self._layouts)
            self._masks.update([0.0] * len(self._kernels))
        self._done = self._due() if self._step() else -1  # number of the latest update
        self._check_masked()
        for kernel, mask in zip(self._kernels, self._masks.variables, strict=True):
            kernel.constraint = Masked(mask, kernel.constraint)
        self._update(self._due())

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Apply the last update where an interrupted run had applied it ahead of its step."""
        self._epoch = epoch
        if self._last_epoch is not None and epoch > self._last_epoch:
            self._update(self._schedule.last)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Update the masks if an update is due."""
        self._update(self._due())

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Reach the target before the validation of the first epoch that must have it."""
        if self._epoch == self._last_epoch:
            self._update(self._schedule.last)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Apply the masks once more, as Keras may have set the weights to averages, and restore the constraints."""
        with self.model.distribute_strategy.scope():
            self._masks.apply()
        self.release()
        if self._done < self._schedule.last:
            raise InputError(
                f"training ended at step {self._step()}, but the sparsity reaches its target at step "
                f"{self._schedule.end}; train for more epochs, or end the schedule earlier."
            )

    def release(self) -> None:
        """Restore the kernels' own constraints."""
        for kernel in self._kernels:
            if isinstance(kernel.constraint, Masked):
                kernel.constraint = kernel.constraint.own

    def _check_masked(self) -> None:
        """Raise InputError if the optimizer has made steps, but without these masks."""
        if self._done >= 0 and self._masks.missing(self._sparsities(self._done)) > SPARSITY_TOLERANCE:
            raise InputError(
                f"the optimizer has already made {self._step()} steps, after which the schedule expects zeros; compile "
                "the model again, or begin the schedule later."
            )

    def _update(self, number: int) -> None:
        """Apply an update, unless it was applied already."""
        if number <= self._done:
            return
        with self.model.distribute_strategy.scope():
            self._masks.update(self._sparsities(number))
        self._done = number

    def _sparsities(self, number: int) -> list[float]:
        """Share of zeros of each kernel after an update."""
        return [sparsity_at(self._schedule.step(number)) for sparsity_at in self._sparsity_at]

    def _due(self) -> int:
        return self._schedule.due(self._step())

    def _step(self) -> int:
        """Number of steps in which the optimizer has changed the weights."""
        # Read again each time: with gradient accumulation `iterations` is not a variable.
        return int(keras.ops.convert_to_numpy(self.model.optimizer.iterations))
