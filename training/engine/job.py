"""A training run: its phases in order, resumable after a crash, whatever function asks for it."""

import gc
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import keras
import numpy as np

from ...core.errors import InputError
from ...core.short_repr import ShortRepr
from ...zoo.auxiliary_heads import check_auxiliary_heads
from ...zoo.contract import contract_of
from ..compatibility import (
    adopt_labels,
    check_fit_together,
    check_savable,
    check_strategy,
    check_trainable,
)
from ..compression.weights.kept_sparsity import sparsity_kept
from ..data.images import ImageData
from ..data.pipeline import steps_per_epoch
from ..recipe.recipe import Recipe
from .callbacks.user_callbacks import check_callbacks
from .compilation import compile_for_training, reinitialize_kernels
from .epoch_loop import EpochLoop
from .history import History
from .layer_settings import training_settings
from .optimizers import ParameterGroup, check_changes_weights
from .precision import fastest_precision
from .run_directory import RunDirectory
from .user_objectives import OF_THE_RECIPE, UserObjectives

AnyRecipe = TypeVar("AnyRecipe", bound=Recipe)


@dataclass(frozen=True)
class RunResult(ShortRepr):
    """Result of a run."""

    model: keras.Model
    """The model that was passed in, with the weights of the best epoch."""
    history: list[dict[str, float]]
    """Metrics of every epoch."""
    metrics: dict[str, Any]
    """Validation metrics of the best epoch, and facts of the run."""
    run_dir: Path | None


@dataclass(frozen=True)
class Phase:
    """A part of a run; it starts from the best weights of the phases before it."""

    epochs: int
    """Most epochs of the phase."""
    train: Callable[[RunDirectory, History], None]
    """Appends epochs to the history, from where it ends, and leaves a checkpoint."""
    summary: dict[str, Any]
    """Entries for `phases` in the metrics of the run, in addition to the number of epochs."""


@dataclass(frozen=True)
class Job:
    """What distinguishes a training run of one function, such as `prune`, from those of the others."""

    title: str
    recipe: Recipe
    settings: dict[str, Any]
    """Further arguments that must be the same when the run is resumed."""
    phases: Sequence[Phase] = ()
    """Phases in order; without phases the whole model is trained by the recipe."""
    callbacks: Sequence[keras.callbacks.Callback] = ()
    user_callbacks: Sequence[keras.callbacks.Callback] = ()
    user_objectives: UserObjectives = OF_THE_RECIPE
    first_eligible: int = 0
    """Index of the first epoch that may become the best."""
    final_metrics: Callable[[], dict[str, float]] = dict
    """Returns additional metrics of the finished model."""
    epochs_fields: tuple[str, ...] = ("epochs",)
    """Field of the recipe with the number of epochs of the last phase, and others that may change with it."""
    build_network: Callable[[keras.Model], keras.Model] | None = None
    """Returns the network to be trained, which shares the layers of the model and has a loss of its own; None for all
    layers of the model and the auxiliary heads of the recipe."""
    groups: Callable[[Recipe], Sequence[ParameterGroup]] | None = None
    """Returns all weights to be trained with their learning rates; None for that of the recipe."""
    keep_sparsity: bool | None = False
    """Whether zeros and clusters of the model are kept, as in `fit`; False too for jobs that see to them themselves."""


def resolve_precision(
    recipe: AnyRecipe, model: keras.Model, *, resumed: str | Path | None = None, verbose: bool
) -> AnyRecipe:
    """Replace `precision: auto` in `recipe` by the precision of the resumed run, or by the fastest one here."""
    if recipe.precision != "auto":
        return recipe
    recorded = resumed and RunDirectory(Path(resumed)).recorded("precision")
    return recipe.changed(precision=recorded or fastest_precision(model, recipe.batch_size, verbose=verbose))


def run_job(
    job: Job,
    model: keras.Model,
    data: ImageData,
    *,
    run_dir: str | Path | None,
    resume: bool,
    overwrite: bool,
    extend: bool = False,
    verbose: bool,
) -> RunResult:
    """Train `model` for `job`; arguments and errors as in `fit`."""
    _check_job(job, model, data, run_dir, resume=resume, extend=extend)
    adopt_labels(model, data)
    gc.collect()  # an earlier run's optimizer and traced steps, which hold all weights in reference cycles
    settings = _settings(job, model, data)
    resume = resume or extend
    keep = False if job.recipe.initializer is not None else job.keep_sparsity
    with _directory(run_dir) as path:
        extended = job.epochs_fields if extend else ()
        run = RunDirectory.open(path, job.recipe, settings, resume=resume, overwrite=overwrite, extended=extended)
        history = run.history()
        history.stopped = history.stopped and not extend
        if run.last_checkpoint():
            if keep and history.epochs:
                run.load_best(model)  # has the zeros and clusters that are kept, whatever was passed to resume
            run.restore_seeds(model)
        with sparsity_kept(model, keep) as compressed:
            for number, phase in enumerate(job.phases or [_single_phase(job, model, data, verbose)]):
                if number == len(history.phases):
                    run.load_best(model)
                    history.phases.append(len(history))
                    history.stopped = False
                if number == len(history.phases) - 1 and not _is_over(phase, history, job):
                    phase.train(run, history)
        run.load_best(model)
        metrics = _metrics(job, history)
        if compressed is not None:
            metrics["sparsity"] = compressed.sparsity()
        if run_dir is not None:
            run.finish(history, metrics)
    return RunResult(model, history.epochs, metrics, None if run_dir is None else path)


def _check_job(
    job: Job, model: keras.Model, data: ImageData, run_dir: str | Path | None, *, resume: bool, extend: bool
) -> None:
    """Raise InputError where arguments contradict each other, or the model cannot be trained on the data."""
    if extend and run_dir is None:
        raise InputError("extend requires run_dir, the directory of the run to extend.")
    if resume and run_dir is None:
        raise InputError("resume requires run_dir, the directory of the run to resume.")
    if job.recipe.tensorboard and run_dir is None:
        raise InputError("tensorboard requires run_dir, the directory to write the curves to.")
    if job.recipe.folds is not None:
        raise InputError(
            f"folds is {job.recipe.folds}, but this trains a single model; training.cross_validate and "
            "`pocketzoo train` train one model per fold."
        )
    if job.keep_sparsity and job.recipe.initializer is not None:
        raise InputError(f"initializer is {job.recipe.initializer!r}; keep_sparsity keeps what was trained before.")
    check_fit_together(model, data)
    if job.recipe.auxiliary:
        _check_auxiliary(job, job.recipe.auxiliary, model)
    check_savable(model)
    check_strategy(model)
    check_trainable(data, job.recipe)
    if not job.phases:
        check_changes_weights(model, job.recipe, steps_per_epoch(data.train, job.recipe))
    check_callbacks(job.user_callbacks)


def _check_auxiliary(job: Job, endpoints: Collection[str], model: keras.Model) -> None:
    if job.build_network:
        raise InputError(
            f"auxiliary is {job.recipe.auxiliary}, but {job.settings['verb']} has a loss of its own; leave it out."
        )
    check_auxiliary_heads(model, endpoints)


def _settings(job: Job, model: keras.Model, data: ImageData) -> dict[str, Any]:
    """Return everything that the results depend on beside the recipe: a run is resumed with the same values only."""
    settings = job.settings | {"model": model.name, "source": data.source, "fingerprint": data.fingerprint()}
    settings |= contract_of(model).settings() | job.user_objectives.settings()
    if job.user_callbacks:
        settings["callbacks"] = [type(callback).__name__ for callback in job.user_callbacks]
    return settings | ({"keep_sparsity": True} if job.keep_sparsity else {})


def _metrics(job: Job, history: History) -> dict[str, Any]:
    best = history.best_epoch(job.first_eligible)
    metrics: dict[str, Any] = {"best_epoch": best + 1, **history.epochs[best], "epochs": len(history)}
    metrics |= job.final_metrics()
    if job.phases:
        lengths = np.diff([*history.phases, len(history)]).tolist()
        metrics["phases"] = [
            phase.summary | {"epochs": epochs} for phase, epochs in zip(job.phases, lengths, strict=True)
        ]
    return metrics


def _is_over(phase: Phase, history: History, job: Job) -> bool:
    is_over = history.in_phase >= phase.epochs or history.stopped
    return is_over or history.is_exhausted(job.recipe.early_stopping, job.first_eligible)


def _single_phase(job: Job, model: keras.Model, data: ImageData, verbose: bool) -> Phase:
    """Return the phase that trains the whole model by the recipe."""

    def train(run: RunDirectory, history: History) -> None:
        reinitialize_kernels(model, job.recipe)
        with training_settings(model, job.recipe) as original_settings:
            steps = steps_per_epoch(data.train, job.recipe)
            epoch_loop = EpochLoop(
                job.title,
                job.recipe,
                model,
                data,
                network=compile_for_training(
                    model, job.recipe, steps, data.labels, job.build_network, job.user_objectives, job.groups
                ),
                inputs=data,
                callbacks=job.callbacks,
                user_callbacks=job.user_callbacks,
                first_eligible=job.first_eligible,
                original_settings=original_settings,
                verbose=verbose,
            )
            epoch_loop.run(run, history)

    return Phase(job.recipe.epochs, train, {})


@contextmanager
def _directory(run_dir: str | Path | None) -> Iterator[Path]:
    """Yield the run directory; a temporary one without `run_dir`."""
    if run_dir is not None:
        with RunDirectory(Path(run_dir)).lock():
            yield Path(run_dir)
    else:
        with TemporaryDirectory() as temporary:
            yield Path(temporary)
