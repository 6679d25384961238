"""Training a model on a dataset by a recipe, resumable after a crash."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras

from ..layers import ClassificationHead
from ..zoo.errors import InputError
from .callbacks import ProgressBar, Recorder
from .compatibility import check_fit_together
from .data import ImageData
from .history import History
from .objectives import objectives
from .pipeline import evaluation_batches, steps_per_epoch, training_batches
from .recipe import Recipe
from .run_directory import RunDirectory


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
        InputError: Model and data do not fit together, `run_dir` cannot be used, or the loss became NaN or infinite.
    """
    job = Job(f"Training {model.name}", recipe or Recipe(), {"verb": "fit"})
    return run_job(job, model, data, run_dir=run_dir, resume=resume, overwrite=overwrite, verbose=verbose)


@dataclass(frozen=True)
class Job:
    """What is the verb's own in a training run; the rest is the same for every verb."""

    title: str
    recipe: Recipe
    settings: dict[str, Any]
    """What else the run is made from, for `resume` to compare."""
    callbacks: Sequence[keras.callbacks.Callback] = ()
    first_eligible: int = 0
    """Index of the first epoch that may become the best."""
    final_metrics: Callable[[], dict[str, float]] = dict
    """What to measure of the finished model besides."""


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
    """Compiles and trains `model` for `job`; arguments and errors as of `fit`."""
    if resume and run_dir is None:
        raise InputError("resume takes the run_dir of the run to go on with.")
    check_fit_together(model, data)
    _adopt_labels(model, data)
    settings = job.settings | {"model": model.name, "data": data.source, "fingerprint": data.fingerprint()}
    with _directory(run_dir) as path:
        run = RunDirectory.open(path, job.recipe, settings, resume=resume, overwrite=overwrite)
        compile_model(model, job.recipe, steps_per_epoch(data.train, job.recipe))
        history = run.restore(model)
        _train(job, model, data, run, history, verbose)
        best = history.best_epoch(job.first_eligible)
        run.load_best(model)
        metrics = {"best_epoch": best + 1, **history.epochs[best], "epochs": len(history), **job.final_metrics()}
        run.finish(history, metrics)
    return RunResult(model, history.epochs, metrics, None if run_dir is None else path)


def _train(job: Job, model: keras.Model, data: ImageData, run: RunDirectory, history: History, verbose: bool) -> None:
    recipe = job.recipe
    if len(history) < recipe.epochs and not history.is_exhausted(recipe.early_stopping, job.first_eligible):
        recorder = Recorder(run, history, patience=recipe.early_stopping, first_eligible=job.first_eligible)
        with ProgressBar(job.title, epochs=recipe.epochs, done=len(history), quiet=not verbose) as bar:
            model.fit(
                training_batches(data.train, recipe, first_epoch=len(history)),
                steps_per_epoch=steps_per_epoch(data.train, recipe),
                initial_epoch=len(history),
                epochs=recipe.epochs,
                validation_data=evaluation_batches(data.validation, recipe.batch_size),
                callbacks=[*job.callbacks, recorder, bar],
                shuffle=False,  # the stream is shuffled already
                verbose=0,
            )


@contextmanager
def _directory(run_dir: str | Path | None) -> Iterator[Path]:
    if run_dir is not None:
        yield Path(run_dir)
    else:
        with TemporaryDirectory() as temporary:
            yield Path(temporary)


def compile_model(model: keras.Model, recipe: Recipe, steps: int) -> None:
    """Compiles a classifier with the optimizer of `recipe`, for epochs of `steps` batches."""
    warmup = round(min(recipe.warmup_epochs, recipe.epochs / 2) * steps)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else recipe.learning_rate,
        max(1, recipe.epochs * steps - warmup),
        warmup_target=recipe.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
    if recipe.optimizer == "adamw":
        optimizer = keras.optimizers.AdamW(schedule, weight_decay=recipe.weight_decay)
    else:
        optimizer = keras.optimizers.SGD(schedule, momentum=0.9, nesterov=True, weight_decay=recipe.weight_decay)
    # Decay pulls kernels towards zero; norms and biases have no reason to be small.
    optimizer.exclude_from_weight_decay([v for v in model.trainable_variables if len(v.shape) <= 1])
    model.compile(optimizer, **objectives(model))


def _adopt_labels(model: keras.Model, data: ImageData) -> None:
    for layer in model.layers:
        if isinstance(layer, ClassificationHead) and layer.labels is None:
            layer.labels = list(data.labels)
