"""k-fold cross-validation."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ...core.atomic_files import atomic_path
from ...core.errors import InputError
from ...core.outputs import by_name
from ..data.folds import folds_of
from ..data.images import ImageData
from ..evaluation.evaluate import evaluate
from ..recipe.recipe import Recipe, recipe_for
from .fit import Job, run_job, with_precision
from .run_directory import RunDirectory

FOLDS = 5
"""Where the recipe does not say."""
RESULT = "cross-validation.json"


@dataclass(frozen=True)
class CrossValidation:
    """Figures of each fold on the images that it validated on, by name; of several outputs the output's comes first.

    The epoch of each fold was chosen by the loss on the same images, so the figures are a little better than those of
    images that took no part; the test split did not.
    """

    folds: tuple[dict[str, float | None], ...]

    @property
    def mean(self) -> dict[str, float | None]:
        """Of each figure over the folds; None where a fold has none."""
        return {name: float(np.mean(values)) if None not in values else None for name, values in self._columns()}

    @property
    def deviation(self) -> dict[str, float | None]:
        """Standard deviation of each figure from fold to fold, with Bessel's correction."""
        return {name: float(np.std(values, ddof=1)) if None not in values else None for name, values in self._columns()}

    def _columns(self) -> list[tuple[str, list[float | None]]]:
        return [(name, [fold[name] for fold in self.folds]) for name in self.folds[0]]

    def to_dict(self) -> dict[str, Any]:
        """The same as plain numbers, for JSON."""
        return {**asdict(self), "mean": self.mean, "deviation": self.deviation}


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
    """Trains a fresh model on all but one of `recipe.folds` parts of the images, once for each part to validate on.

    The parts are of `data.train` and `data.validation` together, stratified, with copies of an image in one part. The
    test split stays out of it. Every fold starts from the same random state, that of `recipe.seed`.

    Args:
        make_model: Gives a fresh model for `data`.
        data: What to learn.
        recipe: How; the defaults of `Recipe` if None, and 5 folds if it does not say.
        run_dir: Where to keep the runs, `fold-1` and so on, and `cross-validation.json`; nowhere if None.
        resume: Go on where an interrupted cross-validation stopped, within its fold.
        overwrite: Replace earlier runs in `run_dir`.
        verbose: Show progress on standard error.

    Raises:
        InputError: A class has fewer different images than there are folds, or as in `fit`.
    """
    recipe = recipe_for("cross_validate", recipe, Recipe())
    if resume and run_dir is None:
        raise InputError("resume takes the run_dir of the run to go on with.")
    count = recipe.folds or FOLDS
    if overwrite and not resume and run_dir is not None:
        _remove_runs(Path(run_dir))
    folds = []
    for number, fold in enumerate(folds_of(data, count, seed=recipe.seed), start=1):
        keras.utils.set_random_seed(recipe.seed)
        model = make_model()
        run = None if run_dir is None else Path(run_dir, f"fold-{number}")
        settings = {"verb": "cross_validate", "fold": number, "of folds": count}
        how = with_precision(recipe.changed(folds=None), model, resumed=run if resume else None, verbose=verbose)
        job = Job(f"Fold {number} of {count}, {model.name}", how, settings)
        run_job(job, model, fold, run_dir=run, resume=resume, overwrite=overwrite, verbose=verbose)
        folds.append(_figures(model, fold))
    result = CrossValidation(tuple(folds))
    if run_dir is not None:
        with atomic_path(Path(run_dir, RESULT)) as temporary:
            temporary.write_text(json.dumps(result.to_dict(), indent=1))
    return result


def _remove_runs(folder: Path) -> None:
    """Removes an earlier cross-validation, which may have had more folds; what else is there stays."""
    (folder / RESULT).unlink(missing_ok=True)
    for run in folder.glob("fold-*"):
        RunDirectory(run).remove()


def _figures(model: keras.Model, fold: ImageData) -> dict[str, float | None]:
    evaluations = by_name(evaluate(model, fold.validation))
    return {
        f"{output} {name}".strip(): value
        for output, figures in evaluations.items()
        for name, value in figures.summary.items()
    }
