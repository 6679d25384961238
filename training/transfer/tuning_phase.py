"""One phase of fine-tuning: some stages of the backbone are frozen, the rest of the model trains."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from ...core.errors import InputError
from ...zoo.flat import without_optimizer
from ..data.images import ImageData
from ..data.pipeline import steps_per_epoch
from ..engine.compilation import compile_network
from ..engine.epoch_loop import Session
from ..engine.fit import Phase
from ..engine.history import History
from ..engine.optimizers import RateGroup
from ..engine.run_directory import RunDirectory
from ..engine.settings import training_settings
from ..recipe.augmentation import transformations
from ..recipe.recipe import FineTuneRecipe
from .freezing import (
    TrainableReport,
    batch_norms,
    freeze_stages,
    momentum_for,
    report,
    settings_of,
    show_report,
    trainable_variables,
)
from .frozen_trunk import cached_features, feature_bytes, split_at_frozen
from .l2_sp import L2SP
from .stages import Stage, stages_of

LARGEST_CACHE = 4 * 2**30
"""Bytes of features that are kept on disk; larger ones are computed anew in each epoch."""


@dataclass(frozen=True)
class TuningPhase:
    """What trains in a phase, and how."""

    name: str
    recipe: FineTuneRecipe
    """With the epochs and the learning rate of this phase."""
    model: keras.Model
    data: ImageData
    frozen: Sequence[Stage]
    starts: Sequence[tuple[keras.Variable, np.ndarray]]
    """Kernels of the backbone with their pretrained values, for L2-SP."""
    verbose: bool

    def phase(self) -> Phase:
        """The phase as a run does it."""
        with self._settings():
            return Phase(self.recipe.epochs, self.train, {"name": self.name} | self.report().to_dict())

    def report(self) -> TrainableReport:
        """What trains, with the highest learning rates; inside the phase's settings."""
        rates = self._learning_rates()
        return report(self.model, lambda stage: rates[stage.name] if trainable_variables(stage) else None)

    def train(self, run: RunDirectory, history: History) -> None:
        """Trains the phase to its end, from the last checkpoint if it has one."""
        with self._settings() as as_given, self._network(run.path) as (network, inputs):
            show_report(self.report(), f"{self.model.name}, {self.name}", quiet=not self.verbose)
            compile_network(
                network,
                self.model,
                self.recipe,
                steps_per_epoch(inputs.train, self.recipe),
                self._rate_groups(),
                undecayed=[variable for variable, _ in self.starts],
            )
            session = Session(
                f"{self.model.name}, {self.name}",
                self.recipe,
                self.model,
                self.data,
                network=network,
                inputs=inputs,
                as_given=as_given,
                verbose=self.verbose,
            )
            session.train(run, history)

    @contextmanager
    def _settings(self) -> Iterator[Callable[[], AbstractContextManager]]:
        """Which layers are frozen in this phase, how fast BatchNorm's statistics move, and how the model computes."""
        steps = steps_per_epoch(self.data.train, self.recipe) * self.recipe.epochs
        with settings_of(self.model) as unfrozen, training_settings(self.model, self.recipe) as uncast:
            freeze_stages(self.frozen)
            if self.recipe.batch_norm == "frozen":
                for stage in stages_of(self.model):
                    for norm in batch_norms(stage.layers) if stage.in_backbone else ():
                        norm.trainable = False
            for norm in batch_norms(self.model.layers):
                norm.momentum = momentum_for(norm, steps)
            if not self.model.trainable_variables:
                raise InputError(f"{self.model.name}: nothing is left to train; all of it is frozen.")

            @contextmanager
            def as_given() -> Iterator[None]:
                with unfrozen(), uncast():
                    yield

            yield as_given

    @contextmanager
    def _network(self, folder: Path) -> Iterator[tuple[keras.Model, ImageData]]:
        """What to train on what: the whole model, or what is not frozen, on images or on cached features."""
        split = split_at_frozen(self.model)
        if not split.trunk.weights:
            yield self._with_penalty(without_optimizer(self.model)), self.data
            return
        size = feature_bytes(split.trunk, self.data.train) + feature_bytes(split.trunk, self.data.validation)
        if transformations(self.recipe.augmentation) or size > LARGEST_CACHE:
            yield self._with_penalty(split.whole()), self.data
            return
        how = {"batch_size": self.recipe.batch_size, "quiet": not self.verbose}
        with cached_features(split.trunk, self.data, folder, **how) as features:
            yield self._with_penalty(split.tail), features

    def _with_penalty(self, network: keras.Model) -> keras.Model:
        starts = [(variable, start) for variable, start in self.starts if variable.trainable]
        if not starts:
            return network
        penalized = keras.Model(network.input, L2SP(self.recipe.l2_sp, starts)(network.output), name=network.name)
        penalized.output_names = network.output_names
        return penalized

    def _rate_groups(self) -> list[RateGroup]:
        groups: dict[float, list[keras.Variable]] = {}
        rates = self._learning_rates()
        for stage in stages_of(self.model):
            groups.setdefault(rates[stage.name], []).extend(trainable_variables(stage))
        return [RateGroup(rate, variables) for rate, variables in groups.items() if variables]

    def _learning_rates(self) -> dict[str, float]:
        """By stage: the recipe's outside the backbone, less with each stage of the backbone from its top."""
        rates, rate = {}, self.recipe.optimizer.lr
        for stage in reversed(stages_of(self.model)):
            if stage.in_backbone and any(layer.weights for layer in stage.layers):
                rate *= self.recipe.layer_decay
            rates[stage.name] = rate if stage.in_backbone else self.recipe.optimizer.lr
        return rates
