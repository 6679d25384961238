"""Epochs of gradient descent on one network, recorded and resumable."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import keras

from ..recipe.recipe import Recipe
from .callbacks import ProgressBar, Recorder
from .history import History
from .run_directory import RunDirectory


@dataclass(frozen=True)
class Session:
    """What a phase of a run trains, on what, and how."""

    title: str
    recipe: Recipe
    model: keras.Model
    """The run's."""
    network: keras.Model
    """What is trained, compiled: the run's model itself, or layers of it."""
    steps: int
    """Batches in an epoch."""
    batches: Callable[..., Any]
    """A recipe and `first_epoch` to the batches from there to the end, as `pipeline.training_batches`."""
    validation: Any
    """Batches to measure each epoch on."""
    callbacks: Sequence[keras.callbacks.Callback] = ()
    first_eligible: int = 0
    """Index of the first epoch of the run that may become the best."""
    as_given: Callable[[], AbstractContextManager] = nullcontext
    """A context in which the model is as it is to be saved."""
    verbose: bool = True

    def train(self, run: RunDirectory, history: History) -> None:
        """Trains to the end of the recipe, from the last checkpoint if the phase has one."""
        if history.in_phase:
            run.restore(self.network)
        first, epochs = history.phases[-1], self.recipe.epochs
        recorder = Recorder(
            run,
            history,
            self.model,
            as_given=self.as_given,
            patience=self.recipe.early_stopping,
            first_eligible=self.first_eligible,
        )
        with ProgressBar(self.title, epochs=epochs, done=history.in_phase, quiet=not self.verbose) as bar:
            self.network.fit(
                # Epochs are counted over the whole run here, so that no two phases see the same order of images.
                self.batches(self.recipe.changed(epochs=first + epochs), first_epoch=len(history)),
                steps_per_epoch=self.steps,
                initial_epoch=history.in_phase,
                epochs=epochs,
                validation_data=self.validation,
                callbacks=[*self.callbacks, recorder, bar],
                shuffle=False,  # the stream is shuffled already
                verbose=0,
            )
