"""Fine-tuning: a pretrained model is adapted to new data, its head first."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import keras
import numpy as np

from ...core.arguments import check_arguments
from ...core.errors import InputError
from ...core.outputs import Flags, LabelNames, PixelRange, TaskNames
from ...zoo.model_arguments import accepts_any_model
from ..compatibility import check_fit_together, describe_model
from ..data.accepted_data import accepts_any_data
from ..data.images import ImageData
from ..engine.job import Job, RunResult, resolve_precision, run_job
from ..engine.optimizers import is_kernel
from ..engine.user_objectives import Losses, Metrics, UserObjectives
from ..recipe.recipe import FineTuneRecipe, recipe_for
from .fine_tuning_phase import FineTuningPhase
from .freezing import trainable_variables
from .linear_probe import linear_probe
from .model_stages import Stage, stages_before, stages_of


@accepts_any_data("dataset")
@check_arguments
@accepts_any_model
def fine_tune(
    model: keras.Model,
    data: ImageData,
    recipe: FineTuneRecipe | None = None,
    *,
    run_dir: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    extend: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    loss: Losses | None = None,
    metrics: Metrics | None = None,
    verbose: bool = True,
    keep_sparsity: bool | None = None,
    task: TaskNames | None = None,
    labels: LabelNames | None = None,
    pixels: PixelRange | None = None,
    from_logits: Flags | None = None,
    features: str | None = None,
) -> RunResult:
    """Adapt a pretrained `model` to `data` in place, and keep the weights with the least validation loss.

    First the head alone is trained, on a frozen backbone; then, depending on the recipe's `mode`, the stages of the
    backbone too, with learning rates that decrease toward the image. Decoders and pyramids are trained with the head
    from the start. Frozen layers run in inference mode, BatchNormalization and dropout too, and do not change by one
    bit; without augmentation, their features are computed once for all epochs. Each phase starts from the best weights
    so far. Layers that are already frozen stay frozen; at the end every layer is as trainable as before.

    Args:
        model: A pretrained model with outputs for `data`: of the zoo, as `zoo.create_model(name, weights=...,
            head=data.task, labels=data.labels)` makes it, or any other, for example with a new head from
            `zoo.replace_head`. To resume, the same model as at first.
        data: The new images and their targets.
        recipe: How to train; the defaults of `FineTuneRecipe` if None.
        run_dir: As in `fit`.
        resume: As in `fit`.
        overwrite: As in `fit`.
        extend: As in `fit`, with more `epochs` (`head_epochs` for `feature_extraction`); not for the other modes than
            `fine_tune` and `feature_extraction`.
        callbacks: As in `fit`; they are called in each phase, from `on_train_begin` to `on_train_end`, and what they
            stop is the phase.
        loss: As in `fit`.
        metrics: As in `fit`.
        verbose: Show what is trainable in each phase, and progress, on standard error.
        keep_sparsity: As in `fit`, for what is trained; a linear probe gives the head new weights.
        task: As in `fit`.
        labels: As in `fit`.
        pixels: As in `fit`.
        from_logits: As in `fit`.
        features: Name of the layer where the backbone ends and the head begins, in a model that is not from the zoo; by
            default as in `zoo.replace_head`.

    Returns:
        The run; its metrics also have `phases`: what was trainable in each, and its number of epochs.

    Raises:
        InputError: The model has no such stage or layer, its backbone cannot be told from its head, the recipe does
            not fit the model, or as in `fit`.
    """
    recipe = recipe_for("fine_tune", recipe, FineTuneRecipe())
    describe_model(model, data, task=task, labels=labels, pixels=pixels, from_logits=from_logits, verbose=verbose)
    recipe = resolve_precision(recipe, model, resumed=run_dir if resume else None, verbose=verbose)
    check_fit_together(model, data)
    stages = stages_of(model, features)
    has_head = any(layer.weights for stage in stages if not stage.in_backbone for layer in stage.layers)
    never_trained = stages_before(stages, recipe.unfreeze_from, model.name) if recipe.unfreeze_from else []
    backbone = [stage for stage in stages if stage.in_backbone]
    settings = {"verb": "fine_tune", "backbone": _fingerprint(backbone)}
    user = UserObjectives(loss, metrics)
    if extend and recipe.mode not in ("fine_tune", "feature_extraction"):
        raise InputError(f"extend: mode {recipe.mode!r} has no last phase that could go on; start another run.")
    if recipe.mode == "linear_probe":
        if callbacks or user.settings():
            raise InputError(
                "callbacks, loss and metrics: mode 'linear_probe' is a logistic regression, without epochs; leave them "
                "out."
            )
        phases = [linear_probe(model, data, recipe, verbose=verbose)]
    else:
        starts = _kernels(backbone) if recipe.l2_sp else []
        phases = [
            FineTuningPhase(name, phase_recipe, model, data, stages, frozen, starts, callbacks, user, verbose).phase()
            for name, phase_recipe, frozen in _plan(model.name, backbone, never_trained, recipe, has_head=has_head)
        ]
    fields = ("head_epochs", "epochs") if recipe.mode == "feature_extraction" else ("epochs",)
    job = Job(
        f"Fine-tuning {model.name}",
        recipe,
        settings,
        phases,
        user_callbacks=callbacks,
        user_objectives=user,
        epochs_fields=fields,
        keep_sparsity=keep_sparsity,
    )
    return run_job(
        job, model, data, run_dir=run_dir, resume=resume, overwrite=overwrite, extend=extend, verbose=verbose
    )


def _plan(
    model_name: str, backbone: list[Stage], never_trained: list[Stage], recipe: FineTuneRecipe, *, has_head: bool
) -> Iterator[tuple[str, FineTuneRecipe, list[Stage]]]:
    """Yield name, recipe and frozen stages of each phase; an embedding may have no head to be trained alone."""
    lowest = sum(stage in never_trained for stage in backbone)
    if recipe.head_epochs and (has_head or recipe.mode == "feature_extraction"):
        head = recipe.changed(epochs=recipe.head_epochs, optimizer={"lr": recipe.head_lr})
        yield "head", head, backbone
    if recipe.mode == "fine_tune":
        yield "fine-tuning", recipe, backbone[:lowest]
    if recipe.mode == "gradual":
        unfrozen = [i for i in range(lowest, len(backbone)) if any(layer.weights for layer in backbone[i].layers)]
        if not unfrozen:
            raise InputError(f"unfreeze_from is {recipe.unfreeze_from!r}; no stage of the backbone comes after that.")
        share, rest = divmod(recipe.epochs, len(unfrozen))
        if not share:
            raise InputError(
                f"epochs is {recipe.epochs}, but {len(unfrozen)} stages of {model_name} are unfrozen one by one; "
                "each requires at least one epoch."
            )
        for i in reversed(unfrozen):
            epochs = share + rest if i == unfrozen[0] else share
            yield f"from {backbone[i].name} on", recipe.changed(epochs=epochs), backbone[:i]


def _kernels(stages: list[Stage]) -> list[tuple[keras.Variable, np.ndarray]]:
    """Return all weights that weight decay applies to, with their values."""
    weights = [v for stage in stages for v in trainable_variables(stage)]
    return [(weight, weight.numpy()) for weight in weights if is_kernel(weight)]


def _fingerprint(stages: list[Stage]) -> str:
    """Return a hash of the weights, by which a resumed run checks that it starts from the same ones."""
    digest = hashlib.sha256()
    for stage in stages:
        for layer in stage.layers:
            for weight in layer.weights:
                digest.update(weight.numpy().tobytes())
    return digest.hexdigest()
