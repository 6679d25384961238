"""Weight clustering: kernels with few distinct values, which compress well."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import keras
import numpy as np

from ....core.arguments import check_arguments
from ....core.errors import InputError, unknown
from ....core.outputs import Flags, LabelNames, PixelRange, TaskNames
from ....zoo.fingerprint import weights_sha256
from ....zoo.model_arguments import accepts_any_model
from ...compatibility import check_fit_together, describe_model
from ...data.accepted_data import accepts_any_data
from ...data.images import ImageData
from ...engine.job import Job, RunResult, resolve_precision, run_job
from ...recipe.recipe import Recipe, recipe_for
from ..default_recipes import CLUSTERS
from ..quantization.detection import check_float32_weights, check_not_quantized
from ..weights.layer_selection import prunable_kernels
from ..weights.tied_weights import ties_kept

STARTS = ("kmeans++", "linear", "density")


@accepts_any_data("dataset")
@check_arguments
@accepts_any_model
def cluster(
    model: keras.Model,
    data: ImageData,
    recipe: Recipe | None = None,
    *,
    clusters: int = 16,
    start: Literal["kmeans++", "linear", "density"] = "kmeans++",
    keep_zeros: bool = True,
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
    """Cluster every kernel of a trained `model` to at most `clusters` distinct weights, and train the centroids.

    As in TF-MOT's weight clustering, each weight is set to its nearest centroid, and a centroid moves by the mean of
    the optimizer's updates of its weights. With gradient descent this equals TF-MOT's step by their mean gradient
    (`GradientAggregation.AVG`); AdamW, the default, has scaled each weight's gradient before. TF-MOT assigns weights to
    centroids again in every step; here the assignment is fixed, as in Han, Mao, Dally: Deep Compression
    (arXiv:1510.00149), section 3. Depthwise kernels, biases, normalization layers and kernels with fewer weights than
    clusters are not changed. The model stays a plain `keras.Model`. `quantize_aware` keeps the clusters, and so does
    further training with `keep_sparsity=True`; `prune` does not.

    Args:
        model: A trained model; clustered in place.
        data: The dataset to train on.
        recipe: How to train; 10 epochs at a learning rate of 1e-4 if None.
        clusters: Number of distinct weights per kernel, including 0, from 2 (3 where zeros are kept) to 256.
        start: Initialization of the centroids: `"kmeans++"`, `"linear"` (evenly spaced between the smallest and the
            largest weight) or `"density"` (evenly spaced by number of weights).
        keep_zeros: Whether one centroid of a kernel with zeros is 0 and stays 0.
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
        The result of the run; its metrics include `clusters`, the largest number of distinct weights in a kernel.

    Raises:
        InputError: `clusters` or `start` is not one of these, the model is quantized, the recipe initializes weights,
            or as in `fit`.
    """
    recipe = recipe_for("cluster", recipe, CLUSTERS)
    check_not_quantized(model, "clustered")
    describe_model(model, data, task=task, labels=labels, pixels=pixels, from_logits=from_logits, verbose=verbose)
    recipe = resolve_precision(recipe, model, resumed=run_dir if resume else None, verbose=verbose)
    least = 3 if keep_zeros else 2
    if not least <= clusters <= 256:
        raise InputError(f"clusters is {clusters}; it must be {least} to 256.")
    if start not in STARTS:
        raise unknown("start", start, STARTS)
    if recipe.initializer is not None:
        raise InputError(f"initializer is {recipe.initializer!r}; clustering continues from trained weights.")
    check_float32_weights(model, "clustered")
    check_fit_together(model, data)
    initial_weights = weights_sha256(model)  # a resumed run starts from them again, to find the same clusters
    kernels = [kernel.variable for kernel in prunable_kernels(model).values()]
    kernels = [kernel for kernel in kernels if np.prod(kernel.shape) >= clusters]
    for kernel in kernels:
        kernel.assign(cluster_weights(keras.ops.convert_to_numpy(kernel), clusters, start, keep_zeros=keep_zeros))
    job = Job(
        title=f"Clustering {model.name}",
        recipe=recipe,
        settings={
            "verb": "cluster",
            "weights": initial_weights,
            "clusters": clusters,
            "start": start,
            "keep_zeros": keep_zeros,
        },
        user_callbacks=callbacks,
        final_metrics=lambda: {"clusters": most_distinct(kernels)},
    )
    with ties_kept(kernels, are_clustered=True):
        return run_job(job, model, data, run_dir=run_dir, resume=resume, overwrite=overwrite, verbose=verbose)


def cluster_weights(kernel: np.ndarray, clusters: int, start: str, *, keep_zeros: bool) -> np.ndarray:
    """Return `kernel` with every weight at its nearest centroid; arguments as in `cluster`."""
    from .centroids import centroids, nearest

    with_zero = keep_zeros and not kernel.all()
    return nearest(kernel, centroids(kernel, clusters, start, with_zero=with_zero))


def most_distinct(kernels: list[keras.Variable]) -> int:
    """Return the largest number of distinct weights in one of `kernels`."""
    return max((len(np.unique(keras.ops.convert_to_numpy(kernel))) for kernel in kernels), default=0)
