"""Quantisation-aware training."""

from pathlib import Path

import keras

from ....core.errors import InputError
from ....layers import FakeQuantize
from ....layers.quantized_kernels import KernelOnGrid
from ....zoo.fingerprint import weights_sha256
from ...compatibility import adopt_labels, check_fit_together
from ...data.images import ImageData
from ...engine.fit import Job, RunResult, run_job
from ...recipe.recipe import Recipe, recipe_for
from ..weights.tied_weights import ties_kept
from .detection import check_not_quantized
from .rewriting import quantized_model

DEFAULT_RECIPE = Recipe(epochs=10, optimizer={"lr": 1e-4})
"""Without BatchNorms to make up for it, a net that is trained already takes small steps only."""
FROZEN_SHARE = 1 / 3
"""Of the epochs, at the end, in which the ranges stay what they are: one at least, where there are two."""


def quantize_aware(
    model: keras.Model,
    data: ImageData,
    recipe: Recipe | None = None,
    *,
    activation_bits: int = 8,
    run_dir: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    verbose: bool = True,
) -> RunResult:
    """Trains a trained `model` on while it computes as integers will: kernels in 8 bits, activations in 8 or 16.

    Jacob et al. (arXiv:1712.05877): weights and activations are rounded in the forward pass, and the gradient goes
    straight through. Ranges of activations follow the batches, and are frozen for the last third of the epochs.
    BatchNorms are folded into the convolutions before. Zeros stay zero, and where a kernel is clustered the equal
    weights of each output channel stay equal, so a pruned or clustered model keeps its sparsity and its clusters.

    The result is a plain model, which `export_model` turns into integer artifacts without calibration images.

    Args:
        model: A trained model of raw pixels. It is not changed.
        data: What to train on.
        recipe: How to train on; 10 epochs at a learning rate of 1e-4 if None. Of precision float32.
        activation_bits: 8, or 16 for more accuracy at less speed (TFLite only).
        run_dir: As in `fit`.
        resume: As in `fit`.
        overwrite: As in `fit`.
        verbose: As in `fit`.

    Returns:
        The run. Its model is a new one, written out flat.

    Raises:
        InputError: `model` is quantised already or has a layer that TFLite has not in integers, `activation_bits` is
            out of range, the recipe draws new weights or computes in reduced precision, or as in `fit`.
    """
    recipe = recipe_for("quantize_aware", recipe, DEFAULT_RECIPE)
    if activation_bits not in (8, 16):
        raise InputError(f"activation_bits is {activation_bits!r}; allowed are 8 and 16.")
    check_recipe(recipe)
    check_not_quantized(model, "quantized")
    check_fit_together(model, data)
    adopt_labels(model, data)
    quantized = quantized_model(model, activation_bits)
    on_grid = [layer for layer in quantized.layers if isinstance(layer, KernelOnGrid)]
    frozen_from = recipe.epochs - max(int(recipe.epochs * FROZEN_SHARE), recipe.epochs > 1)
    job = Job(
        title=f"Quantising {model.name}",
        recipe=recipe,
        settings={"verb": "quantize", "weights": weights_sha256(model), "activation_bits": activation_bits},
        callbacks=[FreezeRanges(frozen_from)],
    )
    with ties_kept([layer.kernel for layer in on_grid], [layer.OUTPUTS for layer in on_grid]):
        return run_job(job, quantized, data, run_dir=run_dir, resume=resume, overwrite=overwrite, verbose=verbose)


def check_recipe(recipe: Recipe) -> None:
    """Raises InputError where quantisation-aware training does not go by such a recipe."""
    if recipe.initializer is not None:
        raise InputError(f"initializer is {recipe.initializer!r}; quantisation goes on from trained weights.")
    if recipe.precision != "float32":
        raise InputError(
            f"precision is {recipe.precision!r}; quantisation-aware training takes 'float32': with fewer digits the "
            "steps of the integers would not be what is trained."
        )


class FreezeRanges(keras.callbacks.Callback):
    """Freezes the ranges of activations from an epoch on, so that the weights settle on grids that do not move.

    Args:
        epoch: Index of the first one.
    """

    def __init__(self, epoch: int):
        super().__init__()
        self._epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        """Freezes them when it is time."""
        if epoch >= self._epoch:
            for layer in self.model.layers:
                if isinstance(layer, FakeQuantize):
                    layer.freeze()
