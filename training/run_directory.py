"""What a run leaves on disk: recipe, log, checkpoints, best model, metrics and curves."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras

from ..zoo.atomic import atomic_path
from ..zoo.errors import InputError
from ..zoo.saving import load_model, save_model
from .history import History
from .recipe import Recipe


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
                shutil.rmtree(path)
            path.mkdir(parents=True, exist_ok=True)
            if not any(path.iterdir()):
                run._write("settings.json", json.dumps(settings, indent=1))
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
        """What a killed run was writing has a hidden name."""
        for entry in self.path.glob(".*"):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    @property
    def _settings_file(self) -> Path:
        return self.path / "settings.json"

    @property
    def best_file(self) -> Path:
        """The model of the best epoch so far."""
        return self.path / "best.keras"

    def save_best(self, model: keras.Model) -> None:
        """Keeps `model` as the best so far."""
        save_model(model, self.best_file)

    def load_best(self, model: keras.Model) -> None:
        """Puts the best weights into `model`."""
        best = load_model(self.best_file)
        model.set_weights(best.get_weights())

    def save_checkpoint(self, model: keras.Model, history: History) -> None:
        """Keeps weights, optimizer state and history after the last epoch of `history`, and drops older ones."""
        older = list(self._checkpoints())
        with TemporaryDirectory(prefix=".checkpoint-", dir=self.path) as temporary:
            whole = Path(temporary, "checkpoint")
            whole.mkdir()
            model.save_weights(whole / "state.weights.h5")
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
        model.load_weights(checkpoint / "state.weights.h5")
        return History(json.loads((checkpoint / "history.json").read_text()))

    def finish(self, history: History, metrics: dict[str, Any]) -> None:
        """Writes what people look at in the end: metrics and curves."""
        from .plots import plot_curves

        self._write("metrics.json", json.dumps(metrics, indent=1))
        with atomic_path(self.path / "curves.png") as temporary:
            plot_curves(history, temporary)

    def _write(self, name: str, text: str) -> None:
        with atomic_path(self.path / name) as temporary:
            temporary.write_text(text)
