"""Quantization-aware training."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from ....core.arguments import check_arguments
from ....core.errors import InputError
from ....core.keras_private import all_layers
from ....core.outputs import Flags, LabelNames, PixelRange, TaskNames
from ....layers import FakeQuantize
from ....layers.quantized_kernels import KernelOnGrid
from ....zoo.contract import contract_of, copy_contract, state_contract
from ....zoo.fingerprint import weights_sha256
from ....zoo.model_arguments import accepts_any_model
from ...compatibility import adopt_labels, check_fit_together, describe_model
from ...data.accepted_data import accepts_any_data
from ...data.images import ImageData
from ...engine.job import Job, RunResult, run_job
from ...engine.optimizers import ParameterGroup
from ...recipe.recipe import Recipe, recipe_for
from ..default_recipes import QUANTIZATION
from ..weights.tied_weights import ties_kept
from .detection import check_float32_weights, check_not_quantized
from .rewriting import quantized_model

FROZEN_SHARE = 1 / 3
"""Share of the epochs, at the end, in which ranges are frozen: at least one epoch of two or more."""
POWERS = {"sgd": 2, "momentum": 2, "nesterov": 2, "lamb": 0}
"""Power of the size of a weight to which an optimizer's steps have to be proportional; 1 for others."""


@accepts_any_data("dataset")
@check_arguments
@accepts_any_model
def quantize_aware(
    model: keras.Model,
    data: ImageData,
    recipe: Recipe | None = None,
    *,
    activation_bits: int = 8,
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
    """Fine-tune a trained `model` with fake quantization: kernels in 8 bits, activations in 8 or 16.

    Jacob et al. (arXiv:1712.05877): weights and activations are rounded in the forward pass; gradients use the
    straight-through estimator. Activation ranges follow the batches, and are frozen for the last third of the epochs.
    BatchNorms are folded into the convolutions beforehand. Zeros stay zero, and in a clustered kernel the equal weights
    of each output channel stay equal, so a pruned or clustered model keeps its sparsity and its clusters.

    The result is a plain model, which `export_model` turns into integer artifacts without calibration images.

    Args:
        model: A trained model. It is not changed.
        data: Training and validation data.
        recipe: Training recipe, in float32; 10 epochs at a learning rate of 1e-4 if None.
        activation_bits: 8, or 16 for more accuracy at less speed (TFLite only).
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
        The run. Its model is a new one, in flat form, with several outputs in a dict by name.

    Raises:
        InputError: `model` is already quantized or has a layer without an integer kernel in TFLite, `activation_bits`
            is invalid, the recipe initializes weights, has auxiliary heads or uses reduced precision, or as in `fit`.
    """
    recipe = recipe_for("quantize_aware", recipe, QUANTIZATION)
    check_not_quantized(model, "quantized")
    describe_model(model, data, task=task, labels=labels, pixels=pixels, from_logits=from_logits, verbose=verbose)
    if activation_bits not in (8, 16):
        raise InputError(f"activation_bits is {activation_bits!r}; allowed are 8 and 16.")
    check_recipe(recipe)
    check_float32_weights(model, "quantized")
    check_fit_together(model, data)
    adopt_labels(model, data)
    quantized = quantized_model(model, activation_bits, pixels=contract_of(model).pixels)
    copy_contract(model, quantized)
    state_contract(quantized, pixels=contract_of(model).pixels, report=False)  # its first layers no longer show it
    on_grid = [layer for layer in quantized.layers if isinstance(layer, KernelOnGrid)]
    frozen_from = recipe.epochs - max(int(recipe.epochs * FROZEN_SHARE), recipe.epochs > 1)
    job = Job(
        title=f"Quantizing {model.name}",
        recipe=recipe,
        settings={"verb": "quantize", "weights": weights_sha256(model), "activation_bits": activation_bits},
        callbacks=[FreezeRanges(frozen_from)],
        user_callbacks=callbacks,
        groups=lambda recipe: groups_by_size(quantized, recipe),
    )
    with ties_kept([layer.kernel for layer in on_grid], [layer.output_axes for layer in on_grid]):
        return run_job(job, quantized, data, run_dir=run_dir, resume=resume, overwrite=overwrite, verbose=verbose)


def groups_by_size(quantized: keras.Model, recipe: Recipe) -> list[ParameterGroup]:
    """Return the weights of a model of `quantized_model` with learning rates as if nothing had been folded.

    A BatchNorm folded into a kernel makes it smaller, by the deviation of its inputs: several hundred times where
    pixels are not scaled. A few steps of Adam, whose length does not depend on the gradient, would replace it. Steps
    of the unfolded kernel are as much smaller after folding; those of gradient descent by the square. LAMB's are
    relative anyway.
    """
    power = POWERS.get(recipe.optimizer.name, 1)
    kernels = {id(layer.kernel): layer for layer in quantized.layers if isinstance(layer, KernelOnGrid)}
    groups: dict[float, list[keras.Variable]] = defaultdict(list)
    for variable in quantized.trainable_variables:
        layer = kernels.get(id(variable))
        share = min(1.0, layer.folded_scale) ** power if layer else 1.0
        groups[recipe.optimizer.lr * share].append(variable)
    return [ParameterGroup(rate, variables) for rate, variables in groups.items()]


def check_recipe(recipe: Recipe) -> None:
    """Raise InputError if quantization-aware training does not support the recipe."""
    if recipe.initializer is not None:
        raise InputError(f"initializer is {recipe.initializer!r}; quantization starts from trained weights.")
    if recipe.auxiliary:
        raise InputError(
            f"auxiliary is {recipe.auxiliary}, but training for integers rewrites the layers that auxiliary heads are "
            "on; leave it out."
        )
    if recipe.precision != "float32":
        raise InputError(
            f"precision is {recipe.precision!r}; quantization-aware training requires 'float32': lower precision would "
            "not resolve the steps of the integers."
        )


class FreezeRanges(keras.callbacks.Callback):
    """Freezes the activation ranges from an epoch on, so that the weights settle on fixed quantization grids.

    Args:
        epoch: Index of the first epoch with frozen ranges.
    """

    def __init__(self, epoch: int):
        super().__init__()
        self._epoch = epoch

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Freeze the ranges from the given epoch on."""
        if epoch >= self._epoch:
            for layer in all_layers(self.model):
                if isinstance(layer, FakeQuantize):
                    layer.freeze()
