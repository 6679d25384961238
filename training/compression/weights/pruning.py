"""Magnitude pruning of Keras 3 models: single weights, blocks, or M in every N."""

import math
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from ....core.arguments import check_arguments
from ....core.errors import InputError
from ....core.outputs import Flags, LabelNames, PixelRange, TaskNames
from ....zoo.model_arguments import accepts_any_model
from ...compatibility import describe_model
from ...data.accepted_data import accepts_any_data
from ...data.images import ImageData
from ...data.pipeline import steps_per_epoch
from ...engine.job import Job, RunResult, resolve_precision, run_job
from ...engine.optimizers import check_not_frozen
from ...recipe.recipe import Recipe, recipe_for
from ..default_recipes import SPARSITY
from ..quantization.detection import check_float32_weights, check_not_quantized
from .kept_sparsity import warn_of_clusters
from .layer_selection import kernels_of, layouts_of, select_layers
from .mask_schedule import MaskSchedule
from .pruning_callback import PruningCallback
from .sparsity import Sparsity


@accepts_any_data("dataset")
@check_arguments
@accepts_any_model
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
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: bool = True,
    task: TaskNames | None = None,
    labels: LabelNames | None = None,
    pixels: PixelRange | None = None,
    from_logits: Flags | None = None,
) -> RunResult:
    """Set the smallest weights of convolutions and dense layers of a trained `model` to zero during further training.

    Zhu, Gupta: To prune, or not to prune (arXiv:1710.01878): the sparsity s(t) = sparsity * (1 - (1 - t)^3) rises over
    the first half of the steps; the second half recovers accuracy. The first and the last layer, depthwise kernels,
    biases and normalization layers are not pruned. `Sparsity` changes these defaults. Masks are equal to TF-MOT's.

    The model stays a plain `keras.Model`: no wrappers, nothing to strip. Weights that are already zero stay zero.
    Further training keeps the zeros with `keep_sparsity=True`.

    Args:
        model: A trained model; pruned in place.
        data: The dataset to train on.
        recipe: How to train; 20 epochs at a learning rate of 1e-3 if None. With an EMA of the weights, the average is
            masked, validated and kept.
        sparsity: Share of zeros in every kernel at the end, from 0 up to but not including 1; or full settings.
        frequency: Steps between two mask updates; that of `sparsity` if None.
        run_dir: As in `fit`.
        resume: As in `fit`.
        overwrite: As in `fit`.
        callbacks: As in `fit`.
        verbose: As in `fit`.
        task: As in `fit`.
        labels: As in `fit`.
        pixels: As in `fit`.
        from_logits: As in `fit`.

    Returns:
        The result of the run; its metrics include `sparsity`, the share of zeros over all pruned kernels.

    Raises:
        InputError: `sparsity` or `frequency` is out of range or does not fit the model, the recipe initializes weights,
            the model is quantized, or as in `fit`.
    """
    recipe = recipe_for("prune", recipe, SPARSITY)
    check_not_quantized(model, "pruned")
    describe_model(model, data, task=task, labels=labels, pixels=pixels, from_logits=from_logits, verbose=verbose)
    if recipe.initializer is not None:
        raise InputError(f"initializer is {recipe.initializer!r}; pruning continues from trained weights.")
    settings = sparsity if isinstance(sparsity, Sparsity) else Sparsity(target=sparsity)
    if frequency is not None:
        settings = Sparsity(**settings.explicit_fields() | {"frequency": frequency})
    check_not_frozen(model)
    check_float32_weights(model, "pruned")
    targets = select_layers(model, settings)
    warn_of_clusters(model)
    kernels = kernels_of(model, targets)
    updates = steps_per_epoch(data.train, recipe) / recipe.optimizer.accumulate
    schedule = MaskSchedule.of(settings, recipe.epochs * updates)
    last_epoch = max(0, math.ceil(schedule.end / updates) - 1)  # contains the last mask update
    callback = PruningCallback(
        kernels,
        list(targets.values()),
        settings,
        schedule,
        layouts=layouts_of(model, targets),
        last_epoch=last_epoch,
    )
    job = Job(
        title=f"Pruning {model.name}",
        recipe=resolve_precision(recipe, model, resumed=run_dir if resume else None, verbose=verbose),
        settings={"verb": "prune", "sparsity": settings.model_dump(mode="json")},
        callbacks=[callback],
        user_callbacks=callbacks,
        first_eligible=last_epoch,
        final_metrics=lambda: {"sparsity": measured_sparsity(kernels)},
    )
    try:
        return run_job(job, model, data, run_dir=run_dir, resume=resume, overwrite=overwrite, verbose=verbose)
    finally:
        callback.release()


def measured_sparsity(kernels: Sequence[keras.Variable]) -> float:
    """Return the share of exact zeros over all `kernels`, 0..1."""
    zeros = sum(int(np.count_nonzero(keras.ops.convert_to_numpy(kernel) == 0)) for kernel in kernels)
    return zeros / sum(math.prod(kernel.shape) for kernel in kernels)
