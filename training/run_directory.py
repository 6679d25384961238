"""What a run leaves on disk: recipe, log, checkpoints, best model, metrics and curves."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np

from ..zoo.atomic import UNFINISHED, atomic_path
from ..zoo.errors import InputError, first_line
from ..zoo.flat import without_optimizer
from ..zoo.saving import save_model
from .history import History
from .recipe import Recipe

SETTINGS = "pocketzoo-run.json"
FILES = (SETTINGS, "recipe.yaml", "log.csv", "best.keras", "metrics.json", "curves.png")


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
            resume: Go on from the last checkpoint, if there is one.
            overwrite: Remove an earlier run that is in the way.

        Raises:
            InputError: The directory is in use by something else, by another run, or cannot be written.
        """
        run, settings = cls(path), recipe.model_dump() | settings
        try:
            if overwrite and not resume and run._settings_file.exists():
                run._remove_files()
            path.mkdir(parents=True, exist_ok=True)
            failed_at_once = run._settings_file.exists() and not resume and not run.last_checkpoint()
            if failed_at_once or not any(path.iterdir()):
                run._write(SETTINGS, json.dumps(settings, indent=1))
        except OSError as error:
            raise InputError(f"run directory {path} cannot be written: {error.strerror}.") from error
        if not run._settings_file.exists() or (not resume and run.last_checkpoint()):
            raise InputError(
                f"run directory {path} is not empty; resume the run, overwrite it, or name another directory."
            )
        run._check_same(settings)
        run._remove_unfinished()
        run._write("recipe.yaml", recipe.to_yaml())
        return run

    def _check_same(self, settings: dict[str, Any]) -> None:
        before = json.loads(self._settings_file.read_text())
        now = json.loads(json.dumps(settings))
        changed = [
            f"{key} was {before.get(key)!r}, is {now.get(key)!r}" for key in now if before.get(key) != now.get(key)
        ]
        if changed:
            raise InputError(f"run directory {self.path} belongs to another run: {'; '.join(changed)}.")

    def _remove_unfinished(self) -> None:
        """What a killed run was writing when it was killed."""
        for entry in self.path.glob(f"{UNFINISHED}*"):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def _remove_files(self) -> None:
        """The run's own files; whatever else somebody keeps there stays, and keeps the directory from being used."""
        self._remove_unfinished()
        for checkpoint in self._checkpoints():
            shutil.rmtree(checkpoint)
        for name in FILES:
            (self.path / name).unlink(missing_ok=True)

    @property
    def _settings_file(self) -> Path:
        return self.path / SETTINGS

    @property
    def best_file(self) -> Path:
        """The model of the best epoch so far."""
        return self.path / "best.keras"

    def save_best(self, model: keras.Model) -> None:
        """Keeps `model` as the best so far, without its optimizer: whoever trains it on brings another."""
        save_model(without_optimizer(model), self.best_file)

    def load_best(self, model: keras.Model) -> None:
        """Puts the best weights into `model`."""
        without_optimizer(model).load_weights(self.best_file)

    def save_checkpoint(self, model: keras.Model, history: History) -> None:
        """Keeps weights, optimizer state and history after the last epoch of `history`, and drops older ones."""
        older = list(self._checkpoints())
        with TemporaryDirectory(prefix=UNFINISHED, dir=self.path) as temporary:
            whole = Path(temporary, "checkpoint")
            whole.mkdir()
            model.save_weights(whole / "state.weights.h5")
            np.savez(whole / "seeds.npz", *(np.array(seed) for seed in _seeds(model)))
            (whole / "history.json").write_text(json.dumps(history.epochs))
            whole.rename(self.path / f"checkpoint-{len(history):05}")
        for checkpoint in older:
            shutil.rmtree(checkpoint)
        self._write("log.csv", history.to_csv())

    def last_checkpoint(self) -> Path | None:
        """The newest whole checkpoint."""
        return max(self._checkpoints(), default=None)

    def _checkpoints(self) -> list[Path]:
        return [path for path in self.path.glob("checkpoint-*") if path.is_dir()]

    def restore(self, model: keras.Model) -> History:
        """Brings the compiled `model` to where the last checkpoint left it, if there is one, and gives its history."""
        checkpoint = self.last_checkpoint()
        if checkpoint is None:
            return History([])
        model.optimizer.build(model.trainable_variables)
        try:
            model.load_weights(checkpoint / "state.weights.h5")
            with np.load(checkpoint / "seeds.npz") as seeds:
                for seed, value in zip(_seeds(model), seeds.values(), strict=True):
                    seed.assign(value)
            return History(json.loads((checkpoint / "history.json").read_text()))
        except Exception as error:  # of Keras, h5py, NumPy and JSON, for every way in which a file can be damaged
            raise InputError(f"{checkpoint} cannot be read for {model.name}: {first_line(error)}") from error

    def finish(self, history: History, metrics: dict[str, Any]) -> None:
        """Writes what people look at in the end: metrics and curves."""
        from .plots import plot_curves

        self._write("metrics.json", json.dumps(metrics, indent=1))
        with atomic_path(self.path / "curves.png") as temporary:
            plot_curves(history, temporary)

    def _write(self, name: str, text: str) -> None:
        with atomic_path(self.path / name) as temporary:
            temporary.write_text(text)


def _seeds(model: keras.Model) -> list[keras.Variable]:
    """The states of the random layers, such as Dropout, which Keras keeps out of the saved weights."""
    known = {id(v) for v in model.weights} | {id(v) for metric in model.metrics for v in metric.variables}
    return [v for v in model.variables if id(v) not in known]
