"""Training a model on a dataset by a recipe, resumable after a crash."""

from collections.abc import Sequence
from pathlib import Path

import keras

from ...core.arguments import check_arguments
from ...core.outputs import Flags, LabelNames, PixelRange, TaskNames
from ...zoo.model_arguments import accepts_any_model
from ..compatibility import describe_model
from ..data.accepted_data import accepts_any_data
from ..data.images import ImageData
from ..recipe.recipe import Recipe, recipe_for
from .job import Job, RunResult, resolve_precision, run_job
from .user_objectives import Losses, Metrics, UserObjectives


@accepts_any_data("dataset")
@check_arguments
@accepts_any_model
def fit(
    model: keras.Model,
    data: ImageData,
    recipe: Recipe | None = None,
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
) -> RunResult:
    """Train `model` in place on `data.train`, and keep the weights of the epoch with the least validation loss.

    A head without labels gets those of `data`.

    Args:
        model: A model for images of `data.image_shape` whose heads fit the targets of `data`.
        data: The images and their targets, or what `as_data` makes into them: a path, arrays, or a finite dataset of
            TensorFlow or Keras.
        recipe: How to train; the defaults of `Recipe` if None.
        run_dir: Directory for recipe, log, checkpoints, best model, metrics and curves; nothing is saved if None.
        resume: Continue from the last checkpoint in `run_dir`; the recipe must be the same.
        overwrite: Replace an earlier run in `run_dir`.
        extend: Continue the run in `run_dir`, finished or not, to the larger number of epochs of `recipe`, over which
            the learning rate schedule is spread from here on; all else must be the same.
        callbacks: Callbacks of Keras, called in order after those of the recipe and before each checkpoint. Their
            `model` is the compiled network, which shares the layers of `model`; what they save is `model`. A resumed
            run continues with their states: what `get_state()` returned, for `set_state()`, or else the attributes that
            training has changed and that hold plain values (None, numbers, strings, arrays, and lists, tuples and dicts
            of these).
        loss: Loss in place of the recipe's: a Keras object, a function of targets and outputs, or its name in Keras; a
            dict for several outputs. Outputs are probabilities (or numbers, of a regression). Targets of classes are
            indices for losses that Keras calls sparse and for functions, one-hot for others of Keras. Of one unit for
            two classes, targets and outputs are `(..., 1)`, as from Keras.
        metrics: Metrics to report in addition, likewise; a list, or a dict of lists.
        verbose: Show progress on standard error.
        keep_sparsity: Whether zeros and clusters of a pruned or clustered model stay. If None, a warning says what is
            lost. It holds for kernels that are more than 20 % zeros, or have clusters.
        task: Task of a model without a head of the zoo; a dict by name for several outputs. That of `data` if None.
        labels: Names of its classes, labels or values, in the order of the outputs. Those of `data` if None.
        pixels: Range of pixel values that it expects, such as `"0..1"` or `(-1, 1)`; images of `data` are scaled to it.
            If None, the range that its first layers show, else 0..255.
        from_logits: Whether its outputs are logits. If None, the loss it was compiled with and its last activation
            tell. What is inferred is printed once; all four hold for the model object from then on.

    Raises:
        InputError: Model, data and recipe are incompatible, `run_dir` cannot be used, or the loss became NaN or
            infinite.
    """
    recipe = recipe_for("fit", recipe, Recipe())
    describe_model(model, data, task=task, labels=labels, pixels=pixels, from_logits=from_logits, verbose=verbose)
    recipe = resolve_precision(recipe, model, resumed=run_dir if resume else None, verbose=verbose)
    job = Job(
        f"Training {model.name}",
        recipe,
        {"verb": "fit"},
        user_callbacks=callbacks,
        user_objectives=UserObjectives(loss, metrics),
        keep_sparsity=keep_sparsity,
    )
    return run_job(
        job, model, data, run_dir=run_dir, resume=resume, overwrite=overwrite, extend=extend, verbose=verbose
    )
