"""Weight clustering: kernels of few different values, which compress well."""

from pathlib import Path
from typing import Literal

import keras
import numpy as np

from ....core.errors import InputError, unknown
from ....zoo.fingerprint import weights_sha256
from ...compatibility import check_fit_together
from ...data.images import ImageData
from ...engine.fit import Job, RunResult, resolve_precision, run_job
from ...recipe.recipe import Recipe, recipe_for
from ..quantization.detection import check_not_quantized
from ..weights.layer_selection import kernel_of, prunable_layers
from ..weights.tied_weights import ties_kept

DEFAULT_RECIPE = Recipe(epochs=10, optimizer={"lr": 1e-4})
STARTS = ("kmeans++", "linear", "density")


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
    verbose: bool = True,
) -> RunResult:
    """Gives every kernel of a trained `model` no more than `clusters` different weights, and trains these on.

    TF-MOT's weight clustering: each weight becomes its nearest centroid, and a centroid is moved by the mean of what
    the optimizer makes of its weights. With gradient descent that is TF-MOT's step by their mean gradient
    (`GradientAggregation.AVG`); AdamW, the default, has weighed each weight's gradient by itself before. Where TF-MOT
    assigns weights anew in every step, here they stay with their centroid, as in Han, Mao, Dally: Deep Compression
    (arXiv:1510.00149), section 3. Depthwise kernels, biases and norms stay as they are, and so do kernels with fewer
    weights than clusters. The model stays a plain `keras.Model`; `fit` and `prune` let the clusters go,
    `quantize_aware` keeps them.

    Args:
        model: A trained model; clustered in place.
        data: What to train on.
        recipe: How to train on; 10 epochs at a learning rate of 1e-4 if None.
        clusters: Different weights of a kernel, 0 included, from 2 (3 where zeros are kept) to 256.
        start: How the first centroids are found: `"kmeans++"`, `"linear"` (evenly from the least to the greatest
            weight) or `"density"` (evenly by number of weights).
        keep_zeros: In a kernel that has zeros, one centroid is 0 and stays so.
        run_dir: As in `fit`.
        resume: As in `fit`.
        overwrite: As in `fit`.
        verbose: As in `fit`.

    Returns:
        The run; its metrics also have `clusters`, the most different weights that a clustered kernel has.

    Raises:
        InputError: `clusters` or `start` is none of these, the model is quantized, the recipe draws new weights, or as
            in `fit`.
    """
    recipe = recipe_for("cluster", recipe, DEFAULT_RECIPE)
    recipe = resolve_precision(recipe, model, resumed=run_dir if resume else None, verbose=verbose)
    least = 3 if keep_zeros else 2
    if not least <= clusters <= 256:
        raise InputError(f"clusters is {clusters}; it takes {least} to 256.")
    if start not in STARTS:
        raise unknown("start", start, STARTS)
    if recipe.initializer is not None:
        raise InputError(f"initializer is {recipe.initializer!r}; clustering goes on from trained weights.")
    check_not_quantized(model, "clustered")
    check_fit_together(model, data)
    begun_with = weights_sha256(model)  # by which the clusters are found again when a run is resumed
    kernels = [kernel_of(layer) for layer in prunable_layers(model)]
    kernels = [kernel for kernel in kernels if np.prod(kernel.shape) >= clusters]
    for kernel in kernels:
        kernel.assign(clustered(keras.ops.convert_to_numpy(kernel), clusters, start, keep_zeros=keep_zeros))
    job = Job(
        title=f"Clustering {model.name}",
        recipe=recipe,
        settings={
            "verb": "cluster",
            "weights": begun_with,
            "clusters": clusters,
            "start": start,
            "keep_zeros": keep_zeros,
        },
        final_metrics=lambda: {"clusters": most_different(kernels)},
    )
    with ties_kept(kernels):
        return run_job(job, model, data, run_dir=run_dir, resume=resume, overwrite=overwrite, verbose=verbose)


def clustered(kernel: np.ndarray, clusters: int, start: str, *, keep_zeros: bool) -> np.ndarray:
    """`kernel` with every weight at its nearest centroid; arguments as of `cluster`."""
    from .centroids import centroids, nearest

    with_zero = keep_zeros and not kernel.all()
    return nearest(kernel, centroids(kernel, clusters, start, with_zero=with_zero))


def most_different(kernels: list[keras.Variable]) -> int:
    """The most different weights that one of `kernels` has."""
    return max((len(np.unique(keras.ops.convert_to_numpy(kernel))) for kernel in kernels), default=0)
