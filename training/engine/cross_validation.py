"""k-fold cross-validation."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ...core.arguments import check_arguments
from ...core.atomic_files import atomic_path
from ...core.errors import InputError
from ...core.outputs import by_name
from ...core.short_repr import ShortRepr
from ...core.work_directory import WorkDirectory
from ...zoo.model_arguments import functional_argument, report_own_training
from ..compatibility import describe_model
from ..data.accepted_data import accepts_any_data, for_tasks, tasks_wanted_by
from ..data.folds import folds_of
from ..data.images import ImageData
from ..evaluation.evaluate import evaluate
from ..recipe.recipe import Recipe, recipe_for
from .job import Job, resolve_precision, run_job
from .run_directory import RunDirectory

FOLDS = 5
"""Default number of folds."""
RESULT = "cross-validation.json"


@dataclass(frozen=True)
class CrossValidation(ShortRepr):
    """Metrics of each fold on its validation images, by name; with several outputs, the output's name comes first.

    The best epoch of each fold was selected by the loss on the same images, so the metrics are slightly optimistic. The
    test split was not used at all.
    """

    folds: tuple[dict[str, float | None], ...]

    @property
    def mean(self) -> dict[str, float | None]:
        """Mean of each metric over the folds; None where a fold has none."""
        return self._over_folds(np.mean)

    @property
    def deviation(self) -> dict[str, float | None]:
        """Standard deviation of each metric over the folds, with Bessel's correction."""
        return self._over_folds(partial(np.std, ddof=1))

    def _over_folds(self, statistic: Callable[[Any], Any]) -> dict[str, float | None]:
        values = {name: [fold[name] for fold in self.folds] for name in self.folds[0]}
        return {name: None if None in column else float(statistic(column)) for name, column in values.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return folds, mean and deviation as values for JSON."""
        return {**asdict(self), "mean": self.mean, "deviation": self.deviation}


@accepts_any_data("dataset")
@check_arguments
def cross_validate(
    make_model: Callable[[], keras.Model],
    data: ImageData,
    recipe: Recipe | None = None,
    *,
    run_dir: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    verbose: bool = True,
) -> CrossValidation:
    """Train a new model for each fold, and evaluate it on the images of the fold.

    `data.train` and `data.validation` together are split into `recipe.folds` stratified folds, with all copies of an
    image in the same fold; each model is trained on all folds but one. The test split is not used. Every fold starts
    from the same random state, that of `recipe.seed`. Of data in the order of time (`from_signals(ordered=True)`), each
    model is trained on what comes before its fold alone.

    Args:
        make_model: Returns a new model for `data`.
        data: The images and their targets.
        recipe: How to train; the defaults of `Recipe` if None. Five folds if `recipe.folds` is None.
        run_dir: Directory for the runs, `fold-1` and so on, and `cross-validation.json`; nothing is saved if None.
        resume: Continue an interrupted cross-validation where it stopped, within its fold.
        overwrite: Replace earlier runs in `run_dir`.
        verbose: Show progress on standard error.

    Raises:
        InputError: A class has fewer different images than there are folds, or as in `fit`.
    """
    recipe = recipe_for("cross_validate", recipe, Recipe())
    if resume and run_dir is None:
        raise InputError("resume requires run_dir, the directory of the run to resume.")
    with nullcontext() if run_dir is None else WorkDirectory(Path(run_dir), "cross-validation", RESULT, ()).lock():
        return _train_folds(make_model, data, recipe, run_dir, resume=resume, overwrite=overwrite, verbose=verbose)


def _train_folds(
    make_model: Callable[[], keras.Model],
    data: ImageData,
    recipe: Recipe,
    run_dir: str | Path | None,
    *,
    resume: bool,
    overwrite: bool,
    verbose: bool,
) -> CrossValidation:
    """Train and evaluate the folds in the locked `run_dir`."""
    count = recipe.folds or FOLDS
    if overwrite and not resume and run_dir is not None:
        _remove_runs(Path(run_dir))
    if run_dir is not None and not resume and (result_file := Path(run_dir, RESULT)).exists():
        raise InputError(
            f"{result_file} is of an earlier cross-validation; resume it, overwrite it, or name another directory."
        )
    folds = []
    for number, fold in enumerate(folds_of(data, count, seed=recipe.seed), start=1):
        keras.utils.set_random_seed(recipe.seed)
        model = functional_argument(made := make_model())
        fold = for_tasks(fold, tasks_wanted_by(model))
        describe_model(model, fold, verbose=verbose and number == 1)
        if number == 1:
            report_own_training(made)
        run = None if run_dir is None else Path(run_dir, f"fold-{number}")
        settings = {"verb": "cross_validate", "fold": number, "of folds": count}
        fold_recipe = resolve_precision(
            recipe.changed(folds=None), model, resumed=run if resume else None, verbose=verbose
        )
        job = Job(f"Fold {number} of {count}, {model.name}", fold_recipe, settings)
        run_job(job, model, fold, run_dir=run, resume=resume, overwrite=overwrite, verbose=verbose)
        folds.append(_metrics(model, fold))
    result = CrossValidation(tuple(folds))
    if run_dir is not None:
        file = Path(run_dir, RESULT)
        with atomic_path(file) as temporary:
            temporary.write_text(json.dumps(result.to_dict(), indent=1))
    return result


def _remove_runs(folder: Path) -> None:
    """Remove an earlier cross-validation, which may have had more folds; other files stay."""
    (folder / RESULT).unlink(missing_ok=True)
    for run in folder.glob("fold-*"):
        RunDirectory(run).remove()


def _metrics(model: keras.Model, fold: ImageData) -> dict[str, float | None]:
    evaluations = by_name(evaluate(model, fold.validation))
    return {
        f"{output} {name}".strip(): value
        for output, evaluation in evaluations.items()
        for name, value in evaluation.summary.items()
    }
