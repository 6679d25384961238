"""The files of a training run: recipe, environment, log, checkpoints, best model, metrics and curves."""

import filecmp
import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ...core.atomic_files import atomic_path
from ...core.documents import read_json
from ...core.errors import InputError
from ...core.user_warnings import warn
from ...core.work_directory import WorkDirectory
from ...zoo.contract import copy_contract
from ...zoo.flat import without_optimizer
from ...zoo.saving import save_model, save_weights_file
from ..recipe.recipe import Recipe
from .checkpoints import Checkpoints, readable, save_arrays
from .environment import environment
from .history import History

SETTINGS, BEST, ENVIRONMENT, EVENTS = "pocketzoo-run.json", "best.keras", "environment.json", "tensorboard"
RESULTS = (
    BEST,
    ENVIRONMENT,
    EVENTS,
    "recipe.yaml",
    "log.csv",
    "metrics.json",
    "curves.png",
    "test.json",
    "checkpoint-[0-9]*",
)
EXPLANATIONS = {
    "fingerprint": "the images or their labels are different",
    "backbone": "the model's weights are different",
}


@dataclass(frozen=True)
class RunDirectory:
    """The files of one run. Each is written under a temporary name and renamed, so it is either complete or not there.

    Args:
        path: The directory.
    """

    path: Path

    @classmethod
    def open(
        cls,
        path: Path,
        recipe: Recipe,
        settings: dict[str, Any],
        *,
        resume: bool,
        overwrite: bool,
        extended: Sequence[str] = (),
    ) -> "RunDirectory":
        """Create the directory of a new run, or return to that of an interrupted one.

        Args:
            path: The directory.
            recipe: How the run trains.
            settings: What else the results depend on; `resume` requires the same recipe and settings.
            resume: Continue from the last undamaged checkpoint, if there is one.
            overwrite: Remove an earlier run that is there.
            extended: Fields of the recipe that may differ, where the run is resumed with more epochs; the first is
                their number.

        Raises:
            InputError: The directory has other files, or another run, or cannot be written.
        """
        run = cls(path)
        if resume and not run._directory.exists:
            warn(f"{path} has no run to resume; a new one begins.")
        if extended:
            run._extend(extended, recipe, settings)
        failed_early = not run.last_checkpoint()
        run._directory.open(recipe.model_dump() | settings, resume=resume, overwrite=overwrite, restart=failed_early)
        if failed_early and not resume:
            (path / ENVIRONMENT).unlink(missing_ok=True)
        for damaged in run._checkpoints.drop_damaged():
            warn(f"{damaged} was damaged; the run continues from {run.last_checkpoint()}.")
        run._write("recipe.yaml", recipe.to_yaml())
        run._add_environment(recipe)
        return run

    def _extend(self, fields: Sequence[str], recipe: Recipe, settings: dict[str, Any]) -> None:
        """Record more epochs as a setting of the run that is there; all others must be the same.

        Raises:
            InputError: The run has as many epochs or more, or other settings differ.
        """
        before, now = self.recorded(fields[0]), getattr(recipe, fields[0])
        if before is None or before == now:  # no run, or extended before it was interrupted
            return
        if not isinstance(before, int):
            raise InputError(f"{self.path / SETTINGS} is damaged: {fields[0]} is {before!r}.")
        if now < before:
            raise InputError(f"{self.path} has a run of {before} epochs ({fields[0]}), which {now} do not extend.")
        earlier = {field: self.recorded(field) for field in fields}
        self._directory.open(recipe.model_dump() | settings | earlier, resume=True, overwrite=False)
        self._write(SETTINGS, json.dumps(recipe.model_dump() | settings, indent=1))

    def lock(self) -> AbstractContextManager[None]:
        """Keep other processes from the directory during the block; see `WorkDirectory.lock`."""
        return self._directory.lock()

    def remove(self) -> None:
        """Remove the run, if there is one; the directory too, unless it has other files."""
        self._directory.remove()

    def recorded(self, setting: str) -> Any:
        """Return a setting of the run that is there; None if there is none."""
        return self._directory.settings().get(setting)

    def _add_environment(self, recipe: Recipe) -> None:
        """Add an entry for each time that the run is started."""
        file = self.path / ENVIRONMENT
        before = read_json(file) if file.exists() else []
        if not isinstance(before, list):
            raise InputError(f"{file} is damaged: it is no list. Remove it; nothing depends on it.")
        self._write(ENVIRONMENT, json.dumps([*before, environment() | {"seed": recipe.seed}], indent=1))

    @property
    def events(self) -> Path:
        """Folder of the curves for TensorBoard."""
        return self.path / EVENTS

    @property
    def _directory(self) -> WorkDirectory:
        return WorkDirectory(self.path, "run", SETTINGS, RESULTS, EXPLANATIONS)

    @property
    def _checkpoints(self) -> Checkpoints:
        return Checkpoints(self.path)

    def save_checkpoint(
        self,
        model: keras.Model,
        network: keras.Model,
        history: History,
        *,
        is_best: bool,
        add_files: Callable[[Path], object] = lambda folder: None,
        as_kept: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """Save what the run needs to continue from the end of `history`; remove all but the last two checkpoints.

        Args:
            model: The model of the run. The states of its random layers are saved.
            network: What is trained: `model` itself, or layers of it. Saved with its optimizer and running metrics.
            history: History of all epochs so far.
            add_files: Writes further files to the folder of the checkpoint.
            is_best: Whether `model` is the best so far; if not, the best of the last checkpoint remains so. It is saved
                without an optimizer: further training brings its own.
            as_kept: Context in which `model` has the settings and weights that are to be saved if it is the best.
        """
        last = self.last_checkpoint()
        with self._checkpoints.new(history) as folder:
            if is_best:
                uncompiled = without_optimizer(model)
                copy_contract(model, uncompiled)
                with as_kept():
                    save_model(uncompiled, folder / BEST)
            elif last and (last / BEST).exists():
                # A copy: with a hard link, damage to one file would reach all checkpoints.
                shutil.copyfile(last / BEST, folder / BEST)
            save_weights_file(network, folder / "state.weights.h5")
            save_arrays(folder / "seeds.npz", map(np.array, _seeds(model)))
            save_arrays(folder / "metrics.npz", map(np.array, _running_metrics(network)))
            add_files(folder)
            (folder / "history.json").write_text(json.dumps(asdict(history)))
        if is_best:
            self._publish_best()
        if len(history):
            self._write("log.csv", history.to_csv())

    def load_best(self, model: keras.Model) -> None:
        """Load the best weights so far into `model`."""
        with readable(self.last_checkpoint()) as checkpoint:
            without_optimizer(model).load_weights(checkpoint / BEST)

    def _publish_best(self) -> None:
        """Copy the best model of the last checkpoint to the top of the directory."""
        best, published = self.last_checkpoint() / BEST, self.path / BEST
        if not published.exists() or not filecmp.cmp(best, published, shallow=False):
            with atomic_path(published) as temporary:
                shutil.copyfile(best, temporary)

    def last_checkpoint(self) -> Path | None:
        """Return the newest checkpoint; None if there is none."""
        return self._checkpoints.last()

    def history(self) -> History:
        """Load the history from the last checkpoint; it has no epochs if there is none."""
        if self.last_checkpoint() is None:
            return History([])
        with readable(self.last_checkpoint()) as checkpoint:
            return History(**json.loads((checkpoint / "history.json").read_text()))

    def restore(self, network: keras.Model) -> None:
        """Restore the weights of the compiled `network` and the state of its optimizer from the last checkpoint."""
        network.optimizer.build(network.trainable_variables)
        with readable(self.last_checkpoint()) as checkpoint:
            keras.Model.load_weights(network, checkpoint / "state.weights.h5")

    def restore_seeds(self, model: keras.Model) -> None:
        """Restore the random states of the run's `model` from the last checkpoint."""
        self._assign("seeds.npz", _seeds(model))

    def restore_metrics(self, network: keras.Model) -> None:
        """Restore the running metrics of `network`, built for training, from the last checkpoint."""
        self._assign("metrics.npz", _running_metrics(network))

    def _assign(self, name: str, variables: list[keras.Variable]) -> None:
        with readable(self.last_checkpoint()) as checkpoint, np.load(checkpoint / name) as values:
            for variable, value in zip(variables, values.values(), strict=True):
                variable.assign(value)

    def finish(self, history: History, metrics: dict[str, Any]) -> None:
        """Write the results of a finished run: log, metrics and curves."""
        self._publish_best()
        self._write("log.csv", history.to_csv())
        self._write("metrics.json", json.dumps(metrics, indent=1))
        with atomic_path(self.path / "curves.png") as temporary:
            history.plot(temporary)

    def _write(self, name: str, text: str) -> None:
        self._directory.write(name, text)


def _seeds(model: keras.Model) -> list[keras.Variable]:
    """States of the random layers, such as Dropout, which Keras does not save with the weights."""
    others = {id(v) for v in [*model.weights, *_running_metrics(model)]}
    return [v for v in model.variables if id(v) not in others]


def _running_metrics(network: keras.Model) -> list[keras.Variable]:
    return [variable for metric in network.metrics for variable in metric.variables]
