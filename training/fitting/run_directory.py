"""What a run leaves on disk: recipe, log, checkpoints, best model, metrics and curves."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np

from ...zoo.atomic import UNFINISHED, atomic_path
from ...zoo.errors import InputError, first_line
from ...zoo.flat import without_optimizer
from ...zoo.saving import save_model
from ..recipe.recipe import Recipe
from .history import History

SETTINGS, BEST = "pocketzoo-run.json", "best.keras"
FILES = (SETTINGS, BEST, "recipe.yaml", "log.csv", "metrics.json", "curves.png")


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

    def save_checkpoint(self, model: keras.Model, network: keras.Model, history: History, *, is_best: bool) -> None:
        """Keeps what the run needs to go on after the last epoch of `history`, and drops older checkpoints.

        Args:
            model: The run's. Its random states are kept.
            network: What is trained: `model` itself, or layers of it. Kept with its optimizer.
            history: Of all epochs so far.
            is_best: Whether `model` is the best so far; if not, the last checkpoint's best stays the best. Kept without
                an optimizer: whoever trains it on brings another.
        """
        older = sorted(self._checkpoints())
        with TemporaryDirectory(prefix=UNFINISHED, dir=self.path) as temporary:
            whole = Path(temporary, "checkpoint")
            whole.mkdir()
            if is_best:
                save_model(without_optimizer(model), whole / BEST)
            elif older and (older[-1] / BEST).exists():
                _second_name(older[-1] / BEST, whole / BEST)
            network.save_weights(whole / "state.weights.h5")
            np.savez(whole / "seeds.npz", *(np.array(seed) for seed in _seeds(model)))
            (whole / "history.json").write_text(json.dumps(vars(history)))
            whole.rename(self.path / f"checkpoint-{len(history):05}")
        for checkpoint in older:
            shutil.rmtree(checkpoint)
        self._publish_best()
        self._write("log.csv", history.to_csv())

    def load_best(self, model: keras.Model) -> None:
        """Puts the best weights so far into `model`."""
        without_optimizer(model).load_weights(self.last_checkpoint() / BEST)

    def _publish_best(self) -> None:
        """The best model that belongs to the last checkpoint, where people look for it."""
        best, published = self.last_checkpoint() / BEST, self.path / BEST
        if best.exists() and not (published.exists() and published.samefile(best)):
            with atomic_path(published) as temporary:
                temporary.unlink()
                _second_name(best, temporary)

    def last_checkpoint(self) -> Path | None:
        """The newest whole checkpoint."""
        return max(self._checkpoints(), default=None)

    def _checkpoints(self) -> list[Path]:
        return [path for path in self.path.glob("checkpoint-*") if path.is_dir()]

    def history(self) -> History:
        """What the run had measured at the last checkpoint; of no epochs if there is none."""
        checkpoint = self.last_checkpoint()
        if checkpoint is None:
            return History([])
        with _readable(checkpoint):
            return History(**json.loads((checkpoint / "history.json").read_text()))

    def restore(self, network: keras.Model) -> None:
        """Brings the compiled `network` and its optimizer to where the last checkpoint left them."""
        network.optimizer.build(network.trainable_variables)
        with _readable(self.last_checkpoint()) as checkpoint:
            network.load_weights(checkpoint / "state.weights.h5")

    def restore_seeds(self, model: keras.Model) -> None:
        """Brings the random layers of the run's `model` to where the last checkpoint left them."""
        with _readable(self.last_checkpoint()) as checkpoint, np.load(checkpoint / "seeds.npz") as seeds:
            for seed, value in zip(_seeds(model), seeds.values(), strict=True):
                seed.assign(value)

    def finish(self, history: History, metrics: dict[str, Any]) -> None:
        """Writes what people look at in the end: metrics and curves."""
        from .plots import plot_curves

        self._publish_best()
        self._write("metrics.json", json.dumps(metrics, indent=1))
        with atomic_path(self.path / "curves.png") as temporary:
            plot_curves(history, temporary)

    def _write(self, name: str, text: str) -> None:
        with atomic_path(self.path / name) as temporary:
            temporary.write_text(text)


def _second_name(file: Path, name: Path) -> None:
    try:
        os.link(file, name)
    except OSError:  # of file systems without hard links
        shutil.copyfile(file, name)


@contextmanager
def _readable(checkpoint: Path) -> Iterator[Path]:
    try:
        yield checkpoint
    except Exception as error:  # of Keras, h5py, NumPy and JSON, for every way in which a file can be damaged
        raise InputError(f"{checkpoint} cannot be read: {first_line(error)}") from error


def _seeds(model: keras.Model) -> list[keras.Variable]:
    """The states of the random layers, such as Dropout, which Keras keeps out of the saved weights."""
    known = {id(v) for v in model.weights} | {id(v) for metric in model.metrics for v in metric.variables}
    return [v for v in model.variables if id(v) not in known]
