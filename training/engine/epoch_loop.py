"""Epochs of gradient descent on one network, recorded and resumable."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import keras

from ..data.balance import images_per_epoch
from ..data.images import ImageData
from ..data.pipeline import evaluation_batches, steps_per_epoch, training_batches
from ..recipe.recipe import Recipe
from .callbacks.event_log import EventLog
from .callbacks.monitors import Monitor
from .callbacks.progress import ProgressBar
from .callbacks.recorder import Recorder
from .compilation import engine_callbacks
from .history import History
from .run_directory import RunDirectory


@dataclass(frozen=True)
class Session:
    """What a phase of a run trains, on what, and how."""

    title: str
    recipe: Recipe
    model: keras.Model
    """The run's."""
    data: ImageData
    network: keras.Model
    """What is trained, compiled: the run's model itself, or layers of it."""
    inputs: ImageData
    """What the network is trained and validated on: `data`, or features of its images."""
    callbacks: Sequence[keras.callbacks.Callback] = ()
    first_eligible: int = 0
    """Index of the first epoch of the run that may become the best."""
    as_given: Callable[[], AbstractContextManager] = nullcontext
    """A context in which the model is as it is to be saved."""
    verbose: bool = True

    def train(self, run: RunDirectory, history: History) -> None:
        """Trains to the end of the recipe, from the last checkpoint if the phase has one."""
        validation = evaluation_batches(self.inputs.validation, self.recipe.batch_size)
        if history.in_phase or history.step:
            run.restore(self.network)
        if history.step:
            # Keras makes the metrics' variables, which the recorder is to restore, when it first measures something.
            self.network.test_on_batch(*next(iter(validation)))
        first, epochs, steps = history.phases[-1], self.recipe.epochs, steps_per_epoch(self.inputs.train, self.recipe)
        with ProgressBar(
            self.title,
            epochs=epochs,
            steps=steps,
            done=history.in_phase * steps + history.step,
            images=images_per_epoch(self.inputs.train, self.recipe.data),
            quiet=not self.verbose,
        ) as bar:
            self.network.fit(
                # Epochs are counted over the whole run here, so that no two phases see the same order of images.
                training_batches(
                    self.inputs.train,
                    self.recipe.changed(epochs=first + epochs),
                    first_epoch=len(history),
                    first_step=history.step,
                ),
                steps_per_epoch=steps,
                initial_epoch=history.in_phase,
                epochs=epochs,
                validation_data=validation,
                callbacks=[*self._callbacks(run, history, steps), bar],
                shuffle=False,  # the stream is shuffled already
                verbose=0,
            )

    def _callbacks(self, run: RunDirectory, history: History, steps: int) -> list[keras.callbacks.Callback]:
        """In the order in which they act: those that change the network or add figures before those that record."""
        recorder = Recorder(
            run,
            history,
            self.model,
            steps=steps,
            as_given=self.as_given,
            patience=self.recipe.early_stopping,
            checkpoint_steps=self.recipe.checkpoint_steps,
            first_eligible=self.first_eligible,
        )
        return [
            *self.callbacks,
            *engine_callbacks(self.recipe, history),
            *([self._monitor()] if self.recipe.monitor else []),
            recorder,
            *([EventLog(run.events, history)] if self.recipe.tensorboard else []),
        ]

    def _monitor(self) -> Monitor:
        batches = (
            evaluation_batches(data.validation, self.recipe.batch_size).take(1) for data in (self.data, self.inputs)
        )
        (images, _), batch = (next(iter(first)) for first in batches)
        return Monitor(self.model, images.numpy(), batch)
