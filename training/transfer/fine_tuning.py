"""Transfer learning: a pretrained model is adapted to other data, its head first."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np

from ...core.errors import InputError
from ...zoo.registry import card_of
from ..compatibility import check_fit_together
from ..data.images import ImageData
from ..engine.fit import Job, RunResult, run_job, with_precision
from ..engine.optimizers import is_kernel
from ..recipe.recipe import FineTuneRecipe, recipe_for
from .freezing import trainable_variables
from .linear_probe import linear_probe
from .stages import Stage, stages_before, stages_of
from .tuning_phase import TuningPhase


def fine_tune(
    model: keras.Model,
    data: ImageData,
    recipe: FineTuneRecipe | None = None,
    *,
    run_dir: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    verbose: bool = True,
) -> RunResult:
    """Adapts a pretrained `model` to `data` in place, keeping the epoch of least loss on `data.validation`.

    First the head alone trains, on a frozen backbone; then, by the recipe's `mode`, the backbone's stages too, the
    nearer to the image the slower. What a net adds to a backbone (a decoder, a pyramid) trains with the head from the
    beginning. What is frozen runs in inference mode, BatchNorm and dropout too, and does not change by one bit; where
    nothing is augmented, it is computed once for all epochs. Each phase starts from the best weights so far. Layers
    that are frozen already stay so; at the end every layer is as trainable as before.

    Args:
        model: A model of the zoo with pretrained weights and a head for `data`; `zoo.create_model(name, weights=...,
            head=data.task, labels=data.labels)` and `zoo.replace_head` make one. To resume, as it was at first.
        data: What to adapt it to.
        recipe: How; the defaults of `FineTuneRecipe` if None.
        run_dir: As in `fit`.
        resume: As in `fit`.
        overwrite: As in `fit`.
        verbose: Show on standard error what trains in each phase, and progress.

    Returns:
        The run; its metrics also have `phases`: what trained in each, and for how many epochs.

    Raises:
        InputError: The model has no head of the zoo or no such endpoint, the recipe asks for what cannot be, or as in
            `fit`.
    """
    recipe = recipe_for("fine_tune", recipe, FineTuneRecipe())
    recipe = with_precision(recipe, model, resumed=run_dir if resume else None, verbose=verbose)
    card_of(model.name)
    check_fit_together(model, data)
    if recipe.unfreeze_from:
        stages_before(model, recipe.unfreeze_from)
    backbone = [stage for stage in stages_of(model) if stage.in_backbone]
    settings = {"verb": "fine_tune", "backbone": _fingerprint(backbone)}
    if recipe.mode == "linear_probe":
        phases = [linear_probe(model, data, recipe, verbose=verbose)]
    else:
        starts = _kernels(backbone) if recipe.l2_sp else []
        phases = [
            TuningPhase(name, how, model, data, frozen, starts, verbose).phase()
            for name, how, frozen in _plan(model, backbone, recipe)
        ]
    job = Job(f"Fine-tuning {model.name}", recipe, settings, phases)
    return run_job(job, model, data, run_dir=run_dir, resume=resume, overwrite=overwrite, verbose=verbose)


def _plan(
    model: keras.Model, backbone: list[Stage], recipe: FineTuneRecipe
) -> Iterator[tuple[str, FineTuneRecipe, list[Stage]]]:
    """Name, recipe and frozen stages of each phase."""
    closed = stages_before(model, recipe.unfreeze_from) if recipe.unfreeze_from else []
    lowest = sum(stage in closed for stage in backbone)
    if recipe.head_epochs:
        head = recipe.changed(epochs=recipe.head_epochs, optimizer={"lr": recipe.head_lr})
        yield "head", head, backbone
    if recipe.mode == "fine_tune":
        yield "fine-tuning", recipe, backbone[:lowest]
    if recipe.mode == "gradual":
        opened = [i for i in range(lowest, len(backbone)) if any(layer.weights for layer in backbone[i].layers)]
        if not opened:
            raise InputError(f"unfreeze_from is {recipe.unfreeze_from!r}; no stage of the backbone comes after that.")
        share, rest = divmod(recipe.epochs, len(opened))
        if not share:
            raise InputError(
                f"epochs is {recipe.epochs}, but {len(opened)} stages of {model.name} are unfrozen one by one; each "
                "takes an epoch or more."
            )
        for i in reversed(opened):
            epochs = share + rest if i == opened[0] else share
            yield f"from {backbone[i].name} on", recipe.changed(epochs=epochs), backbone[:i]


def _kernels(stages: list[Stage]) -> list[tuple[keras.Variable, np.ndarray]]:
    """All that weight decay would pull to zero, with its value."""
    weights = [v for stage in stages for v in trainable_variables(stage)]
    return [(weight, weight.numpy()) for weight in weights if is_kernel(weight)]


def _fingerprint(stages: list[Stage]) -> str:
    """A hash by which a resumed run knows again what it started from."""
    digest = hashlib.sha256()
    for stage in stages:
        for layer in stage.layers:
            for weight in layer.weights:
                digest.update(weight.numpy().tobytes())
    return digest.hexdigest()
