"""Magnitude pruning of Keras 3 models: single weights, blocks, or M in every N."""

import math
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from ....core.errors import InputError
from ...data.images import ImageData
from ...data.pipeline import steps_per_epoch
from ...engine.fit import Job, RunResult, resolve_precision, run_job
from ...recipe.recipe import Recipe, recipe_for
from ..quantization.detection import check_not_quantized
from .layer_selection import kernels_of, select_layers
from .mask_schedule import Timetable
from .pruning_callback import PruningCallback
from .sparsity import Sparsity

DEFAULT_RECIPE = Recipe(epochs=20, optimizer={"lr": 1e-3})


def prune(
    model: keras.Model,
    data: ImageData,
    recipe: Recipe | None = None,
    *,
    sparsity: float | Sparsity = 0.5,
    frequency: int | None = None,
    run_dir: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    verbose: bool = True,
) -> RunResult:
    """Sets the smallest weights of convolutions and dense layers of a trained `model` to zero while it trains on.

    Zhu, Gupta: To prune, or not to prune (arXiv:1710.01878): the sparsity s(t) = sparsity * (1 - (1 - t)^3) rises over
    the first half of the steps, the second half makes up for the loss. The first and the last layer, depthwise kernels,
    biases and norms stay as they are; `Sparsity` says all of this otherwise. Masks are those of TF-MOT.

    The model stays a plain `keras.Model`: no wrappers, nothing to strip. What is zero already stays zero. Training it
    on with `fit` lets the zeros go; prune it again instead.

    Args:
        model: A trained model; pruned in place.
        data: What to train on.
        recipe: How to train on; 20 epochs at a learning rate of 1e-3 if None. With an average of the weights, what is
            validated and kept is the average with the zeros of the weights.
        sparsity: Share of zeros in every kernel at the end, from 0 up to but not including 1; or all that can be said
            of it.
        frequency: Steps between two updates of the masks; that of `sparsity`, if None.
        run_dir: As in `fit`.
        resume: As in `fit`.
        overwrite: As in `fit`.
        verbose: As in `fit`.

    Returns:
        The run; its metrics also have `sparsity`, the share of zeros over all pruned kernels.

    Raises:
        InputError: `sparsity` or `frequency` is out of range or does not fit the model, the recipe draws new weights,
            the model is quantized, or as in `fit`.
    """
    recipe = recipe_for("prune", recipe, DEFAULT_RECIPE)
    if recipe.initializer is not None:
        raise InputError(f"initializer is {recipe.initializer!r}; pruning goes on from trained weights.")
    how = sparsity if isinstance(sparsity, Sparsity) else Sparsity(target=sparsity)
    if frequency is not None:
        how = Sparsity(**how.explicit_fields() | {"frequency": frequency})
    check_not_quantized(model, "pruned")
    targets = select_layers(model, how)
    kernels = kernels_of(model, targets)
    updates = steps_per_epoch(data.train, recipe) / recipe.optimizer.accumulate
    times = Timetable.of(how, recipe.epochs * updates)
    last_epoch = max(0, math.ceil(times.end / updates) - 1)  # in which the last update of the masks falls
    callback = PruningCallback(kernels, list(targets.values()), how, times, last_epoch=last_epoch)
    job = Job(
        title=f"Pruning {model.name}",
        recipe=resolve_precision(recipe, model, resumed=run_dir if resume else None, verbose=verbose),
        settings={"verb": "prune", "sparsity": how.model_dump(mode="json")},
        callbacks=[callback],
        first_eligible=last_epoch,
        final_metrics=lambda: {"sparsity": measured_sparsity(kernels)},
    )
    try:
        return run_job(job, model, data, run_dir=run_dir, resume=resume, overwrite=overwrite, verbose=verbose)
    finally:
        callback.release()


def measured_sparsity(kernels: Sequence[keras.Variable]) -> float:
    """Share of exact zeros over all `kernels`, 0..1."""
    zeros = sum(int(np.count_nonzero(keras.ops.convert_to_numpy(kernel) == 0)) for kernel in kernels)
    return zeros / sum(math.prod(kernel.shape) for kernel in kernels)
