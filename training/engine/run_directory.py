"""What a run leaves on disk: recipe, environment, log, checkpoints, best model, metrics and curves."""

import filecmp
import json
import shutil
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ...core.atomic_files import UNFINISHED, atomic_path
from ...core.errors import InputError
from ...zoo.flat import without_optimizer
from ...zoo.saving import save_model
from ..recipe.recipe import Recipe
from .checkpoints import Checkpoints, readable
from .environment import environment
from .history import History

SETTINGS, BEST, ENVIRONMENT, EVENTS = "pocketzoo-run.json", "best.keras", "environment.json", "tensorboard"
FILES = (SETTINGS, BEST, ENVIRONMENT, "recipe.yaml", "log.csv", "metrics.json", "curves.png", "test.json")
HASHES = {"fingerprint": "the images or their labels are others", "backbone": "the model's weights are others"}
"""Settings that say nothing to people, and what it means that they differ; told where nothing else does."""


@dataclass(frozen=True)
class RunDirectory:
    """The files of one run. Each is written under a temporary name and renamed, so each is whole or not there."""

    path: Path

    @classmethod
    def open(
        cls, path: Path, recipe: Recipe, settings: dict[str, Any], *, resume: bool, overwrite: bool
    ) -> "RunDirectory":
        """Makes the directory of a new run, or goes back to that of an interrupted one.

        Args:
            path: The directory.
            recipe: How the run trains.
            settings: What else it is made from; `resume` takes the very same recipe and settings only.
            resume: Go on from the last checkpoint that is whole, if there is one.
            overwrite: Remove an earlier run that is in the way.

        Raises:
            InputError: The directory is in use by something else, by another run, or cannot be written.
        """
        run, settings = cls(path), recipe.model_dump() | settings
        if resume and not run._settings_file.exists():
            warnings.warn(f"{path} has no run to go on with; one begins.", stacklevel=4)
        try:
            if overwrite and not resume and run._settings_file.exists():
                run._remove_files()
            path.mkdir(parents=True, exist_ok=True)
            failed_at_once = run._settings_file.exists() and not resume and not run.last_checkpoint()
            if failed_at_once or not any(path.iterdir()):
                run._write(SETTINGS, json.dumps(settings, indent=1))
                (path / ENVIRONMENT).unlink(missing_ok=True)
        except OSError as error:
            raise InputError(f"run directory {path} cannot be written: {error.strerror}.") from error
        if not run._settings_file.exists() or (not resume and run.last_checkpoint()):
            raise InputError(
                f"run directory {path} is not empty; resume the run, overwrite it, or name another directory."
            )
        run._check_same(settings)
        run._remove_unfinished()
        for damaged in run._checkpoints.drop_damaged():
            warnings.warn(f"{damaged} was damaged; the run goes on from {run.last_checkpoint()}.", stacklevel=4)
        run._write("recipe.yaml", recipe.to_yaml())
        run._add_environment(recipe)
        return run

    def _check_same(self, settings: dict[str, Any]) -> None:
        before = _flat(json.loads(self._settings_file.read_text()))
        now = _flat(json.loads(json.dumps(settings)))
        differing = [field for field in before | now if before.get(field) != now.get(field)]
        told = [field for field in differing if field not in HASHES]
        changed = [f"{field} was {before.get(field)!r}, is {now.get(field)!r}" for field in told]
        changed = changed or [HASHES[field] for field in differing]
        if changed:
            raise InputError(f"run directory {self.path} belongs to another run: {'; '.join(changed)}.")

    def _add_environment(self, recipe: Recipe) -> None:
        """One entry for each time that the run was started."""
        file = self.path / ENVIRONMENT
        before = json.loads(file.read_text()) if file.exists() else []
        self._write(ENVIRONMENT, json.dumps([*before, environment() | {"seed": recipe.seed}], indent=1))

    def _remove_unfinished(self) -> None:
        """What a killed run was writing when it was killed."""
        for entry in self.path.glob(f"{UNFINISHED}*"):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def remove(self) -> None:
        """Removes the run, if there is one; the directory too, unless somebody keeps something else there."""
        if self._settings_file.exists():
            self._remove_files()
            if not any(self.path.iterdir()):
                self.path.rmdir()

    def _remove_files(self) -> None:
        """The run's own files; whatever else somebody keeps there stays, and keeps the directory from being used."""
        self._remove_unfinished()
        for folder in [*self._checkpoints.all(), self.events]:
            if folder.exists():
                shutil.rmtree(folder)
        for name in FILES:
            (self.path / name).unlink(missing_ok=True)

    def recorded(self, setting: str) -> Any:
        """What the run that is there was begun with; None if there is none."""
        return json.loads(self._settings_file.read_text())[setting] if self._settings_file.exists() else None

    @property
    def events(self) -> Path:
        """Where the curves for TensorBoard go."""
        return self.path / EVENTS

    @property
    def _settings_file(self) -> Path:
        return self.path / SETTINGS

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
        as_kept: Callable[[], AbstractContextManager] = nullcontext,
    ) -> None:
        """Keeps what the run needs to go on from where `history` ends, and drops all but the last two checkpoints.

        Args:
            model: The run's. Its random states are kept.
            network: What is trained: `model` itself, or layers of it. Kept with its optimizer and running metrics.
            history: Of all epochs so far.
            is_best: Whether `model` is the best so far; if not, the last checkpoint's best stays the best. Kept without
                an optimizer: whoever trains it on brings another.
            as_kept: A context in which `model` is as it is to be kept if it is the best.
        """
        last = self.last_checkpoint()
        with self._checkpoints.new(history) as folder:
            if is_best:
                with as_kept():
                    save_model(without_optimizer(model), folder / BEST)
            elif last and (last / BEST).exists():
                # A copy, where a second name for the same file would let one damage reach all checkpoints.
                shutil.copyfile(last / BEST, folder / BEST)
            network.save_weights(folder / "state.weights.h5")
            np.savez(folder / "seeds.npz", *map(np.array, _seeds(model)))
            np.savez(folder / "metrics.npz", *map(np.array, _running_metrics(network)))
            (folder / "history.json").write_text(json.dumps(asdict(history)))
        if is_best:
            self._publish_best()
        if len(history):
            self._write("log.csv", history.to_csv())

    def load_best(self, model: keras.Model) -> None:
        """Puts the best weights so far into `model`."""
        with readable(self.last_checkpoint()) as checkpoint:
            without_optimizer(model).load_weights(checkpoint / BEST)

    def _publish_best(self) -> None:
        """The best model that belongs to the last checkpoint, where people look for it."""
        best, published = self.last_checkpoint() / BEST, self.path / BEST
        if not published.exists() or not filecmp.cmp(best, published, shallow=False):
            with atomic_path(published) as temporary:
                shutil.copyfile(best, temporary)

    def last_checkpoint(self) -> Path | None:
        """The newest."""
        return self._checkpoints.last()

    def history(self) -> History:
        """What the run had measured at the last checkpoint; of no epochs if there is none."""
        if self.last_checkpoint() is None:
            return History([])
        with readable(self.last_checkpoint()) as checkpoint:
            return History(**json.loads((checkpoint / "history.json").read_text()))

    def restore(self, network: keras.Model) -> None:
        """Brings the compiled `network` and its optimizer to where the last checkpoint left them."""
        network.optimizer.build(network.trainable_variables)
        with readable(self.last_checkpoint()) as checkpoint:
            network.load_weights(checkpoint / "state.weights.h5")

    def restore_seeds(self, model: keras.Model) -> None:
        """Brings the random layers of the run's `model` to where the last checkpoint left them."""
        self._assign("seeds.npz", _seeds(model))

    def restore_metrics(self, network: keras.Model) -> None:
        """Brings the running metrics of `network`, which has been built for training, to the last checkpoint's."""
        self._assign("metrics.npz", _running_metrics(network))

    def _assign(self, name: str, variables: list[keras.Variable]) -> None:
        with readable(self.last_checkpoint()) as checkpoint, np.load(checkpoint / name) as values:
            for variable, value in zip(variables, values.values(), strict=True):
                variable.assign(value)

    def finish(self, history: History, metrics: dict[str, Any]) -> None:
        """Writes what people look at in the end: metrics and curves."""
        from .plots import plot_curves

        self._publish_best()
        self._write("log.csv", history.to_csv())
        self._write("metrics.json", json.dumps(metrics, indent=1))
        with atomic_path(self.path / "curves.png") as temporary:
            plot_curves(history, temporary)

    def _write(self, name: str, text: str) -> None:
        with atomic_path(self.path / name) as temporary:
            temporary.write_text(text)


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Sections of the recipe field by field, with dotted names."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _seeds(model: keras.Model) -> list[keras.Variable]:
    """The states of the random layers, such as Dropout, which Keras keeps out of the saved weights."""
    known = {id(v) for v in [*model.weights, *_running_metrics(model)]}
    return [v for v in model.variables if id(v) not in known]


def _running_metrics(network: keras.Model) -> list[keras.Variable]:
    return [variable for metric in network.metrics for variable in metric.variables]
