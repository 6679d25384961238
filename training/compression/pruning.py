"""Magnitude pruning of Keras 3 models, with TF-MOT's schedule and engine."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
from keras import layers

from ...zoo.errors import InputError
from ...zoo.flat import flatten_model
from ..data.images import ImageData
from ..data.pipeline import steps_per_epoch
from ..fitting.fit import Job, RunResult, run_job, with_precision
from ..recipe.recipe import Recipe, recipe_for

UPDATES = 20
"""Of the masks over the schedule. Few large cuts hurt more than many small ones."""
DEFAULT_RECIPE = Recipe(epochs=20, optimizer={"lr": 1e-3})


def prune(
    model: keras.Model,
    data: ImageData,
    recipe: Recipe | None = None,
    *,
    sparsity: float = 0.5,
    frequency: int | None = None,
    run_dir: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    verbose: bool = True,
) -> RunResult:
    """Sets the smallest weights of every convolution and dense kernel of a trained `model` to zero while it trains on.

    Zhu, Gupta: To prune, or not to prune (arXiv:1710.01878): the sparsity s(t) = sparsity * (1 - (1 - t)^3) rises over
    the first half of the steps, the second half makes up for the loss. Depthwise kernels, biases and norms stay, as in
    TF-MOT. The model stays a plain `keras.Model`: no wrappers, nothing to strip. Training it on with `fit` lets the
    zeros go; prune it again instead.

    Args:
        model: A trained classifier; pruned in place.
        data: What to train on.
        recipe: How to train on; 20 epochs at a learning rate of 1e-3 if None.
        sparsity: Share of zeros in every kernel at the end, from 0 up to but not including 1.
        frequency: Steps between two updates of the masks; by default so that there are about 20.
        run_dir: As in `fit`.
        resume: As in `fit`.
        overwrite: As in `fit`.
        verbose: As in `fit`.

    Returns:
        The run; its metrics also have `sparsity`, the share of zeros over all pruned kernels.

    Raises:
        InputError: `sparsity` or `frequency` is out of range, the recipe averages weights or draws new ones, or as in
            `fit`.
    """
    recipe = recipe_for("prune", recipe, DEFAULT_RECIPE)
    recipe = with_precision(recipe, model, resumed=run_dir if resume else None, verbose=verbose)
    if not 0 <= sparsity < 1:
        raise InputError(f"sparsity is {sparsity}; it takes 0 or more and less than 1.")
    if recipe.initializer is not None:
        raise InputError(f"initializer is {recipe.initializer!r}; pruning goes on from trained weights.")
    if recipe.optimizer.ema is not None:
        raise InputError(f"optimizer.ema is {recipe.optimizer.ema}; pruning takes none: averages are not zero.")
    updates = steps_per_epoch(data.train, recipe) / recipe.optimizer.accumulate
    half = max(1, int(recipe.epochs * updates / 2))
    frequency = max(1, half // UPDATES) if frequency is None else frequency
    if not 1 <= frequency <= half:
        raise InputError(f"frequency is {frequency}; it takes 1 to {half} steps, half of the run.")
    # The last update must fall on the last step of the schedule, or the sparsity would stop short of the target.
    end_step = half // frequency * frequency
    kernels = prunable_kernels(model)
    job = Job(
        title=f"Pruning {model.name}",
        recipe=recipe,
        settings={"verb": "prune", "sparsity": sparsity, "frequency": frequency},
        callbacks=[PruningCallback(kernels, sparsity, end_step, frequency)],
        first_eligible=math.ceil(end_step / updates) - 1,  # the epoch in which the last update falls
        final_metrics=lambda: {"sparsity": measured_sparsity(kernels)},
    )
    with _own_constraints_after(kernels):
        return run_job(job, model, data, run_dir=run_dir, resume=resume, overwrite=overwrite, verbose=verbose)


def prunable_kernels(model: keras.Model) -> list[keras.Variable]:
    """The kernels of all convolutions (but depthwise) and dense layers of `model` that are not frozen, in order."""
    kinds = (layers.Conv2D, layers.Conv2DTranspose, layers.Dense)
    return [
        layer.kernel for layer in flatten_model(model).layers if isinstance(layer, kinds) and layer.kernel.trainable
    ]


def measured_sparsity(kernels: list[keras.Variable]) -> float:
    """Share of exact zeros over all `kernels`, 0..1."""
    zeros = sum(int(np.count_nonzero(keras.ops.convert_to_numpy(kernel) == 0)) for kernel in kernels)
    return zeros / sum(math.prod(kernel.shape) for kernel in kernels)


class PruningCallback(keras.callbacks.Callback):
    """Drives the masks by `optimizer.iterations`, which also is right where a batch of the log is several steps: an
    update of the masks whose step went by in between is made up for."""

    def __init__(self, kernels: list[keras.Variable], sparsity: float, end_step: int, frequency: int):
        super().__init__()
        self._kernels = kernels
        self._arguments = {"sparsity": sparsity, "end_step": end_step, "frequency": frequency}

    def on_train_begin(self, logs=None):
        """Starts with a mask of what is zero already: so a resumed run gets its masks back."""
        from .tfmot import MagnitudePruning, Masked

        frequency = self._arguments["frequency"]
        self._pruning = MagnitudePruning(self._kernels, lambda: self._due() * frequency, **self._arguments)
        for kernel, mask in zip(self._kernels, self._pruning.masks, strict=True):
            kernel.constraint = Masked(mask, kernel.constraint)
        self._pruning.update()
        self._done = int(self._due())

    def on_train_batch_end(self, batch, logs=None):
        """Updates the masks when it is time."""
        if int(self._due()) > self._done:
            self._pruning.update()
            self._done = int(self._due())

    def _due(self):
        """How many updates of the masks there should have been by now."""
        # Asked for anew each time: where batches are accumulated, `iterations` is no variable.
        steps = keras.ops.convert_to_tensor(self.model.optimizer.iterations)
        return keras.ops.minimum(steps, self._arguments["end_step"]) // self._arguments["frequency"]


@contextmanager
def _own_constraints_after(kernels: list[keras.Variable]) -> Iterator[None]:
    before = [kernel.constraint for kernel in kernels]
    try:
        yield
    finally:
        for kernel, constraint in zip(kernels, before, strict=True):
            kernel.constraint = constraint
