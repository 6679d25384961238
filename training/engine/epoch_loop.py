"""Epochs of gradient descent on one network, recorded and resumable."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import keras

from ...core.outputs import map_outputs
from ...zoo.contract import copy_contract
from ...zoo.functional_form import without_optimizer
from ...zoo.saving import save_model, save_weights_file
from ..data.balance import images_per_epoch
from ..data.images import ImageData
from ..data.pipeline import evaluation_batches, steps_per_epoch, training_batches, validation_batches
from ..data.stream_functions import raising_failures
from ..recipe.recipe import Recipe
from ..recipe.schedule import Plateau
from .callbacks.diagnostics import Diagnostics
from .callbacks.ema import ValidateWithAverages
from .callbacks.plateau import ReduceOnPlateau
from .callbacks.progress import ProgressBar
from .callbacks.run_recorder import RunRecorder
from .callbacks.tensorboard import TensorBoardLog
from .callbacks.user_callbacks import UserCallbacks
from .class_centers import center_on_images
from .history import History
from .layer_settings import OriginalSettings
from .run_directory import RunDirectory


@dataclass(frozen=True)
class EpochLoop:
    """The epochs of one phase of a run, by `keras.Model.fit`."""

    title: str
    recipe: Recipe
    model: keras.Model
    """The model of the run."""
    data: ImageData
    network: keras.Model
    """The compiled network to be trained: the model itself, or a network that shares its layers."""
    inputs: ImageData
    """What the network is trained and validated on: `data`, or features of its images."""
    callbacks: Sequence[keras.callbacks.Callback] = ()
    user_callbacks: Sequence[keras.callbacks.Callback] = ()
    first_eligible: int = 0
    """Index of the first epoch of the run that may become the best."""
    original_settings: OriginalSettings = nullcontext
    """Context manager factory under which the model has the settings to save it with."""
    verbose: bool = True

    def run(self, run: RunDirectory, history: History) -> None:
        """Train to the end of the recipe, from the last checkpoint if the phase has one."""
        validation = validation_batches(self.inputs.validation, self.recipe)
        if history.in_phase or history.step:
            run.restore(self.network)
        elif len(history.phases) > 1:
            center_on_images(self.network, self.inputs.train, self.recipe)
        # TensorFlow traces the training step twice if it creates the variables of the optimizer and the metrics: 0.8 s
        # for LeNet-5. In an epoch that is resumed, the recorder restores the metrics before the first step.
        if not self.network.optimizer.built:
            self.network.optimizer.build(self.network.trainable_variables)
        self.network.evaluate(validation.take(1), verbose=0)
        self._save_the_model()
        first, epochs, steps = history.phases[-1], self.recipe.epochs, steps_per_epoch(self.inputs.train, self.recipe)
        # Epochs are counted over the whole run here, so that every phase has its own order of images.
        batches = training_batches(
            self.inputs.train,
            self.recipe.changed(epochs=first + epochs),
            first_epoch=len(history),
            first_step=history.step,
        )
        bar = ProgressBar(
            self.title,
            epochs=epochs,
            steps=steps,
            done=history.in_phase * steps + history.step,
            images=images_per_epoch(self.inputs.train, self.recipe),
            quiet=not self.verbose,
        )
        with bar, raising_failures(batches, validation):
            self.network.fit(
                batches,
                steps_per_epoch=steps,
                initial_epoch=history.in_phase,
                epochs=epochs,
                validation_data=validation,
                callbacks=[*self._callbacks(run, history, steps), bar],
                shuffle=False,  # the stream is shuffled already
                verbose=0,
            )

    def _save_the_model(self) -> None:
        """Let the network save the model of the run, whose pixels and outputs are those that the user knows."""
        model, settings = without_optimizer(self.model), self.original_settings
        copy_contract(self.model, model)

        def saved_by(
            own: Callable[[keras.Model, Any], object], suffix: str, of_keras: Callable[..., None]
        ) -> Callable[..., None]:
            def save(filepath: Any, overwrite: bool = True, **options: Any) -> None:
                with settings():
                    if str(filepath).endswith(suffix) and overwrite and not options:
                        own(model, filepath)  # which a full disk does not crash
                    else:
                        of_keras(filepath, overwrite, **options)

            return save

        self.network.save = saved_by(save_model, ".keras", model.save)
        self.network.save_weights = saved_by(save_weights_file, ".weights.h5", model.save_weights)
        self.network.load_weights = model.load_weights

    def _callbacks(self, run: RunDirectory, history: History, steps: int) -> list[keras.callbacks.Callback]:
        """Return the callbacks in order: those that change the network or add metrics before those that record."""
        is_resumed = bool(history.in_phase or history.step)
        states = UserCallbacks(
            self.user_callbacks,
            run.last_checkpoint() if is_resumed else None,
            within_epoch=history.step > 0,
        )
        recorder = RunRecorder(
            run,
            history,
            self.model,
            steps=steps,
            original_settings=self.original_settings,
            patience=self.recipe.early_stopping,
            checkpoint_steps=self.recipe.checkpoint_steps,
            first_eligible=self.first_eligible,
            add_files=states.save,
        )
        return [
            *self.callbacks,
            *recipe_callbacks(self.recipe, history),
            *([self._diagnostics()] if self.recipe.monitor else []),
            *self.user_callbacks,
            states,
            recorder,
            *([TensorBoardLog(run.events, history)] if self.recipe.tensorboard else []),
        ]

    def _diagnostics(self) -> Diagnostics:
        batches = (
            evaluation_batches(data.validation, self.recipe.batch_size).take(1) for data in (self.data, self.inputs)
        )
        (inputs, _), batch = (next(iter(first)) for first in batches)
        return Diagnostics(self.model, map_outputs(lambda values: values.numpy(), inputs), batch)


def recipe_callbacks(recipe: Recipe, history: History) -> list[keras.callbacks.Callback]:
    """Return the callbacks that the optimizer and the schedule of `recipe` require on a network compiled for it.

    Args:
        recipe: How the network is trained.
        history: History of the run; grows during training.
    """
    callbacks: list[keras.callbacks.Callback] = []
    if recipe.optimizer.ema is not None:
        callbacks.append(ValidateWithAverages())
    if isinstance(recipe.schedule, Plateau):
        callbacks.append(ReduceOnPlateau(recipe.schedule, history))
    return callbacks
