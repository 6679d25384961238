"""Training a model on a dataset by a recipe, resumable after a crash."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import keras
import numpy as np

from ...core.errors import InputError
from ...zoo.flat import without_optimizer
from ..compatibility import adopt_labels, check_fit_together, check_trainable
from ..data.images import ImageData
from ..data.pipeline import steps_per_epoch
from ..recipe.recipe import Recipe, recipe_for
from .compilation import compile_network
from .epoch_loop import Session
from .history import History
from .initializers import draw_kernels
from .optimizers import RateGroup
from .run_directory import RunDirectory
from .settings import training_settings
from .step_times import fastest_precision

AnyRecipe = TypeVar("AnyRecipe", bound=Recipe)


@dataclass(frozen=True)
class RunResult:
    """What a run ended with."""

    model: keras.Model
    """The model that was given, with the weights of the best epoch."""
    history: list[dict[str, float]]
    """Metrics of every epoch."""
    metrics: dict[str, Any]
    """Figures of the best epoch on the validation split, and of the run."""
    run_dir: Path | None


def fit(
    model: keras.Model,
    data: ImageData,
    recipe: Recipe | None = None,
    *,
    run_dir: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    verbose: bool = True,
) -> RunResult:
    """Trains `model` in place on `data.train`, keeping the epoch of least loss on `data.validation`.

    A classification head without labels takes those of `data`.

    Args:
        model: A classifier for images of `data.image_shape` and as many classes as `data` has.
        data: What to learn.
        recipe: How; the defaults of `Recipe` if None.
        run_dir: Where to keep recipe, log, checkpoints, best model, metrics and curves; nowhere if None.
        resume: Go on from the last checkpoint in `run_dir`; the recipe must be the same.
        overwrite: Replace an earlier run in `run_dir`.
        verbose: Show progress on standard error.

    Raises:
        InputError: Model, data and recipe do not fit together, `run_dir` cannot be used, or the loss became NaN or
            infinite.
    """
    recipe = recipe_for("fit", recipe, Recipe())
    recipe = with_precision(recipe, model, resumed=run_dir if resume else None, verbose=verbose)
    job = Job(f"Training {model.name}", recipe, {"verb": "fit"})
    return run_job(job, model, data, run_dir=run_dir, resume=resume, overwrite=overwrite, verbose=verbose)


@dataclass(frozen=True)
class Phase:
    """A part of a run, which goes on from the best weights that the parts before it have found."""

    epochs: int
    train: Callable[[RunDirectory, History], None]
    """Adds up to that many epochs to the history, going on where it ends, and leaves a checkpoint."""
    facts: dict[str, Any]
    """What the run's metrics say of it, besides its number of epochs."""


@dataclass(frozen=True)
class Job:
    """What is the verb's own in a training run; the rest is the same for every verb."""

    title: str
    recipe: Recipe
    settings: dict[str, Any]
    """What else the run is made from, for `resume` to compare."""
    phases: Sequence[Phase] = ()
    """What is done in turn; if there are none, the model is trained by the recipe."""
    callbacks: Sequence[keras.callbacks.Callback] = ()
    first_eligible: int = 0
    """Index of the first epoch that may become the best."""
    final_metrics: Callable[[], dict[str, float]] = dict
    """What to measure of the finished model besides."""
    network: Callable[[keras.Model], keras.Model] = without_optimizer
    """What is trained, made of the run's model: its layers, perhaps with more that its loss is computed from."""


def with_precision(
    recipe: AnyRecipe, model: keras.Model, *, resumed: str | Path | None = None, verbose: bool
) -> AnyRecipe:
    """`recipe` with a precision in place of `auto`: that of the run which is resumed, or the fastest here."""
    if recipe.precision != "auto":
        return recipe
    before = resumed and RunDirectory(Path(resumed)).recorded("precision")
    return recipe.changed(precision=before or fastest_precision(model, recipe.batch_size, verbose=verbose))


def run_job(
    job: Job,
    model: keras.Model,
    data: ImageData,
    *,
    run_dir: str | Path | None,
    resume: bool,
    overwrite: bool,
    verbose: bool,
) -> RunResult:
    """Trains `model` for `job`; arguments and errors as of `fit`."""
    if resume and run_dir is None:
        raise InputError("resume takes the run_dir of the run to go on with.")
    if job.recipe.tensorboard and run_dir is None:
        raise InputError("tensorboard takes a run_dir to write the curves to.")
    if job.recipe.folds is not None:
        raise InputError(
            f"folds is {job.recipe.folds}; training.cross_validate trains by folds, as `pocketzoo train` does."
        )
    check_fit_together(model, data)
    check_trainable(data, job.recipe)
    adopt_labels(model, data)
    settings = job.settings | {"model": model.name, "source": data.source, "fingerprint": data.fingerprint()}
    with _directory(run_dir) as path:
        run = RunDirectory.open(path, job.recipe, settings, resume=resume, overwrite=overwrite)
        history = run.history()
        if run.last_checkpoint():
            run.restore_seeds(model)
        for number, phase in enumerate(job.phases or [_whole_model(job, model, data, verbose)]):
            if number == len(history.phases):
                run.load_best(model)
                history.phases.append(len(history))
            if number == len(history.phases) - 1 and not _is_over(phase, history, job):
                phase.train(run, history)
        best = history.best_epoch(job.first_eligible)
        run.load_best(model)
        metrics = {"best_epoch": best + 1, **history.epochs[best], "epochs": len(history), **job.final_metrics()}
        if job.phases:
            lengths = np.diff([*history.phases, len(history)]).tolist()
            metrics["phases"] = [
                phase.facts | {"epochs": epochs} for phase, epochs in zip(job.phases, lengths, strict=True)
            ]
        run.finish(history, metrics)
    return RunResult(model, history.epochs, metrics, None if run_dir is None else path)


def _is_over(phase: Phase, history: History, job: Job) -> bool:
    return history.in_phase >= phase.epochs or history.is_exhausted(job.recipe.early_stopping, job.first_eligible)


def _whole_model(job: Job, model: keras.Model, data: ImageData, verbose: bool) -> Phase:
    def train(run: RunDirectory, history: History) -> None:
        draw_kernels(model, job.recipe)
        with training_settings(model, job.recipe) as as_given:
            network = compiled_network(model, job.recipe, steps_per_epoch(data.train, job.recipe), job.network)
            session = Session(
                job.title,
                job.recipe,
                model,
                data,
                network=network,
                inputs=data,
                callbacks=job.callbacks,
                first_eligible=job.first_eligible,
                as_given=as_given,
                verbose=verbose,
            )
            session.train(run, history)

    return Phase(job.recipe.epochs, train, {})


@contextmanager
def _directory(run_dir: str | Path | None) -> Iterator[Path]:
    if run_dir is not None:
        with RunDirectory(Path(run_dir)).lock():
            yield Path(run_dir)
    else:
        with TemporaryDirectory() as temporary:
            yield Path(temporary)


def compiled_network(
    model: keras.Model,
    recipe: Recipe,
    steps: int,
    made_of: Callable[[keras.Model], keras.Model] = without_optimizer,
) -> keras.Model:
    """All layers of `model`, compiled to be trained by `recipe` in epochs of `steps` batches.

    The model itself stays as it was: saved with losses and an optimizer of ours, it could be loaded nowhere else.
    """
    network = made_of(model)
    compile_network(network, model, recipe, steps, [RateGroup(recipe.optimizer.lr, model.trainable_variables)])
    return network
