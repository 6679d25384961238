"""The callback that prunes a model while Keras' own `fit` trains it."""

from collections.abc import Sequence

import keras

from ....core.errors import InputError
from .mask_schedule import Timetable, schedule_of
from .masks import Masked, Masks
from .sparsity import Sparsity

LARGEST_ERROR = 1e-3
"""Of a share of zeros. Weights of the same magnitude are kept together."""


class PruningCallback(keras.callbacks.Callback):
    """Drives the masks by `optimizer.iterations`, which also is right where a batch of the log is several steps: an
    update of the masks whose step went by in between is made up for.

    At the end of training the kernels have their own constraints again; whoever trains on lets the zeros go.

    Args:
        kernels: Variables to prune.
        targets: The share of zeros that each of them is to have.
        how: Pattern, scope and schedule; its shares of the run have become `times`.
        times: When the masks are updated.
        last_epoch: Index of the epoch that ends with the target even if some of the steps changed no weight, as float16
            passes over those that overflow; by default `times` decides alone.

    Raises:
        InputError: Training ended before the schedule did, or began with an optimizer that is beyond its beginning.
    """

    def __init__(
        self,
        kernels: Sequence[keras.Variable],
        targets: Sequence[float],
        how: Sparsity,
        times: Timetable,
        *,
        last_epoch: int | None = None,
    ):
        super().__init__()
        self._kernels = kernels
        self._targets = targets
        self._how = how
        self._times = times
        self._last_epoch = last_epoch

    def on_train_begin(self, logs=None):
        """Masks what is zero already: so a resumed run gets its masks back."""
        self._schedules = [schedule_of(self._how, target, self._times) for target in self._targets]
        with self.model.distribute_strategy.scope():
            self._masks = Masks(self._kernels, self._how)
            self._masks.update([0.0] * len(self._kernels))
        self._done = self._due() if self._step() else -1
        self._check_begun()
        for kernel, mask in zip(self._kernels, self._masks.variables, strict=True):
            kernel.constraint = Masked(mask, kernel.constraint)
        self._update(self._due())

    def on_epoch_begin(self, epoch, logs=None):
        """Makes up for what an interrupted run had done without its steps."""
        self._epoch = epoch
        if self._last_epoch is not None and epoch > self._last_epoch:
            self._update(self._times.last)

    def on_train_batch_end(self, batch, logs=None):
        """Updates the masks when it is time."""
        self._update(self._due())

    def on_test_begin(self, logs=None):
        """Comes to the target before the first epoch is measured that is to have it."""
        if self._epoch == self._last_epoch:
            self._update(self._times.last)

    def on_train_end(self, logs=None):
        """Leaves the zeros, whatever Keras made of the weights at the very end, and nothing else of the callback."""
        with self.model.distribute_strategy.scope():
            self._masks.apply()
        self.release()
        if self._done < self._times.last:
            raise InputError(
                f"training ended at step {self._step()}, but the sparsity comes to its target at step "
                f"{self._times.end}; train for more epochs, or end the schedule earlier."
            )

    def release(self) -> None:
        """Gives the kernels their own constraints back."""
        for kernel in self._kernels:
            if isinstance(kernel.constraint, Masked):
                kernel.constraint = kernel.constraint.own

    def _check_begun(self) -> None:
        """Raises InputError where the optimizer has made steps, but not under these masks."""
        if self._done >= 0 and self._masks.missing(self._sparsities(self._done)) > LARGEST_ERROR:
            raise InputError(
                f"the optimizer has made {self._step()} steps already, after which there should be zeros by the "
                "schedule; compile the model anew, or begin the schedule later."
            )

    def _update(self, number: int) -> None:
        """Brings the masks to the update of that number, unless they are there."""
        if number <= self._done:
            return
        with self.model.distribute_strategy.scope():
            self._masks.update(self._sparsities(number))
        self._done = number

    def _sparsities(self, number: int) -> list[float]:
        """Of each kernel, after the update of that number."""
        return [schedule(self._times.step(number)) for schedule in self._schedules]

    def _due(self) -> int:
        return self._times.due(self._step())

    def _step(self) -> int:
        """Changes of the weights so far."""
        # Asked for anew each time: where batches are accumulated, `iterations` is no variable.
        return int(keras.ops.convert_to_numpy(self.model.optimizer.iterations))
