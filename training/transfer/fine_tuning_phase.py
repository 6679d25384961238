"""One phase of fine-tuning: some stages of the backbone are frozen, the rest of the model is trained."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from ...zoo.contract import contract_of
from ...zoo.decoded_form import decoded_form, with_decoded_outputs, with_raw_pixels
from ...zoo.flat import without_optimizer
from ..data.images import ImageData
from ..data.pipeline import steps_per_epoch
from ..engine.compilation import compile_network
from ..engine.epoch_loop import EpochLoop
from ..engine.history import History
from ..engine.job import Phase
from ..engine.layer_settings import OriginalSettings, training_settings
from ..engine.optimizers import ParameterGroup, check_changes_weights
from ..engine.run_directory import RunDirectory
from ..engine.user_objectives import UserObjectives
from ..recipe.augmentation import transformations
from ..recipe.recipe import FineTuneRecipe
from .freezing import (
    TrainableReport,
    batch_norms,
    freeze_stages,
    momentum_for,
    preserve_trainability,
    report,
    show_report,
    trainable_variables,
)
from .frozen_trunk import cached_features, feature_bytes, split_at_frozen
from .l2_sp import L2SP
from .model_stages import Stage

LARGEST_CACHE = 4 * 2**30
"""Bytes of features that are cached on disk; larger features are computed again in each epoch."""


@dataclass(frozen=True)
class FineTuningPhase:
    """What is trained in a phase, and how."""

    name: str
    recipe: FineTuneRecipe
    """Recipe with the epochs and the learning rate of this phase."""
    model: keras.Model
    data: ImageData
    stages: Sequence[Stage]
    """All stages of the model."""
    frozen: Sequence[Stage]
    starts: Sequence[tuple[keras.Variable, np.ndarray]]
    """Kernels of the backbone with their pretrained values, for L2-SP."""
    callbacks: Sequence[keras.callbacks.Callback]
    """Callbacks of the user."""
    user_objectives: UserObjectives
    """Loss and metrics of the user."""
    verbose: bool

    def phase(self) -> Phase:
        """Return the phase for `Job`."""
        with self._settings():
            return Phase(self.recipe.epochs, self.train, {"name": self.name} | self.report().to_dict())

    def report(self) -> TrainableReport:
        """Return what is trainable, with the peak learning rates; call it inside the settings of the phase."""
        rates = self._learning_rates()
        return report(self.stages, lambda stage: rates[stage.name] if trainable_variables(stage) else None)

    def train(self, run: RunDirectory, history: History) -> None:
        """Train the phase to its end, from the last checkpoint if it has one."""
        with self._settings() as original_settings, self._network(run.path) as (network, inputs):
            title = f"{self.model.name}, {self.name}"
            show_report(self.report(), title, quiet=not self.verbose)
            compile_network(
                network,
                self.model,
                self.recipe,
                steps_per_epoch(inputs.train, self.recipe),
                self._parameter_groups(),
                labels=self.data.labels,
                undecayed=[variable for variable, _ in self.starts],
                user_objectives=self.user_objectives,
            )
            epoch_loop = EpochLoop(
                title,
                self.recipe,
                self.model,
                self.data,
                network=network,
                inputs=inputs,
                user_callbacks=self.callbacks,
                original_settings=original_settings,
                verbose=self.verbose,
            )
            epoch_loop.run(run, history)

    @contextmanager
    def _settings(self) -> Iterator[OriginalSettings]:
        """Set frozen layers, BatchNormalization momenta, precision and dropout for the phase inside the block."""
        steps = steps_per_epoch(self.data.train, self.recipe)
        with (
            preserve_trainability(self.model) as original_trainability,
            training_settings(self.model, self.recipe) as original_computation,
        ):
            freeze_stages(self.frozen)
            if self.recipe.batch_norm == "frozen":
                for stage in self.stages:
                    for norm in batch_norms(stage.layers) if stage.in_backbone else ():
                        norm.trainable = False
            for norm in batch_norms(self.model.layers):
                norm.momentum = momentum_for(norm, steps * self.recipe.epochs)
            check_changes_weights(self.model, self.recipe, steps)

            @contextmanager
            def original_settings() -> Iterator[None]:
                with original_trainability(), original_computation():
                    yield

            yield original_settings

    @contextmanager
    def _network(self, folder: Path) -> Iterator[tuple[keras.Model, ImageData]]:
        """Yield the network to be trained and its data.

        The network is the whole model, or only its trainable layers, which take features: computed from the images in
        each step, or once for all epochs and cached in `folder`.
        """
        split, contract = split_at_frozen(self.model), contract_of(self.model)
        if not split.trunk.weights:
            yield self._with_penalty(without_optimizer(decoded_form(self.model))), self.data
            return
        trunk = with_raw_pixels(split.trunk, contract)
        size = feature_bytes(split.trunk, self.data.train) + feature_bytes(split.trunk, self.data.validation)
        if transformations(self.recipe.augmentation) or size > LARGEST_CACHE:
            whole = with_decoded_outputs(with_raw_pixels(split.whole(), contract), contract)
            yield self._with_penalty(whole), self.data
            return
        quiet = not self.verbose
        with cached_features(trunk, self.data, folder, batch_size=self.recipe.batch_size, quiet=quiet) as features:
            yield self._with_penalty(with_decoded_outputs(split.tail, contract)), features

    def _with_penalty(self, network: keras.Model) -> keras.Model:
        starts = [(variable, start) for variable, start in self.starts if variable.trainable]
        if not starts:
            return network
        penalized = keras.Model(network.input, L2SP(self.recipe.l2_sp, starts)(network.output), name=network.name)
        penalized.output_names = network.output_names
        return penalized

    def _parameter_groups(self) -> list[ParameterGroup]:
        groups: dict[float, list[keras.Variable]] = {}
        rates = self._learning_rates()
        for stage in self.stages:
            groups.setdefault(rates[stage.name], []).extend(trainable_variables(stage))
        return [ParameterGroup(rate, variables) for rate, variables in groups.items() if variables]

    def _learning_rates(self) -> dict[str, float]:
        """Return the peak rate by stage: the recipe's outside the backbone, decayed stage by stage inside it."""
        rates, rate = {}, self.recipe.optimizer.lr
        for stage in reversed(self.stages):
            if stage.in_backbone and any(layer.weights for layer in stage.layers):
                rate *= self.recipe.layer_decay
            rates[stage.name] = rate if stage.in_backbone else self.recipe.optimizer.lr
        return rates
