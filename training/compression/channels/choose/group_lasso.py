"""Group lasso: training that makes whole channels small, so that little is lost when they are removed.

Wen, Wu, Wang, Chen, Li: Learning Structured Sparsity in Deep Neural Networks (arXiv:1608.03665).
"""

import math
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from .....core.arguments import check_arguments
from .....core.errors import InputError
from .....core.layer_traits import main_kernel, traits_of
from .....zoo.model_arguments import accepts_any_model
from ....compatibility import describe_model
from ....data.accepted_data import accepts_any_data
from ....data.images import ImageData
from ....engine.job import Job, RunResult, resolve_precision, run_job
from ....recipe.recipe import Recipe, recipe_for
from ...default_recipes import CHANNELS
from ..graph.channel_graph import ChannelGraph
from .pruning_groups import pruning_groups


@accepts_any_data("dataset")
@check_arguments
@accepts_any_model
def shrink_channels(
    model: keras.Model,
    data: ImageData,
    recipe: Recipe | None = None,
    *,
    strength: float = 1e-4,
    run_dir: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    verbose: bool = True,
    keep_sparsity: bool | None = None,
) -> RunResult:
    """Train `model` in place with a group lasso over the channels that can be removed; prune them by `l2` afterwards.

    The penalty added to the loss is `strength` times the sum over all units (channels that can only be removed
    together) of the Euclidean norm of their filters, each times the square root of its number of weights. Reported
    losses do not include it.

    Args:
        model: A classifier, or another model with a head of the zoo.
        data: Training and validation data.
        recipe: Training recipe; 20 epochs at a learning rate of 1e-3 if None.
        strength: Weight of the penalty, above 0.
        run_dir: As in `fit`.
        resume: As in `fit`.
        overwrite: As in `fit`.
        verbose: As in `fit`.
        keep_sparsity: As in `fit`.

    Raises:
        InputError: `strength` is out of range, the model has no channels that can be removed, or as in `fit`.
    """
    recipe = recipe_for("shrink_channels", recipe, CHANNELS)
    describe_model(model, data, verbose=verbose)
    recipe = resolve_precision(recipe, model, resumed=run_dir if resume else None, verbose=verbose)
    if not 0 < strength < math.inf:
        raise InputError(f"strength is {strength}; it takes a number above 0.")
    job = Job(
        f"Shrinking channels of {model.name}",
        recipe,
        {"verb": "shrink_channels", "strength": strength},
        build_network=partial(Shrinking, penalty=GroupLasso(model), strength=strength),
        keep_sparsity=keep_sparsity,
    )
    return run_job(job, model, data, run_dir=run_dir, resume=resume, overwrite=overwrite, verbose=verbose)


class GroupLasso:
    """Group lasso penalty of a model's channels: called without arguments, it returns a scalar tensor."""

    def __init__(self, model: keras.Model):
        graph = ChannelGraph(model)
        groups = pruning_groups(graph)
        if not groups:
            raise InputError(f"{model.name} has no channels that can be removed.")
        number = np.full(graph.unit_count, -1)
        units = np.concatenate([group.units.ravel() for group in groups])
        number[units] = np.arange(len(units))
        self._parts = [
            (main_kernel(producer.layer), _filter_axis(producer.layer), number[graph.unit_of[producer.labels]])
            for producer in graph.producers.values()
        ]
        self._parts = [part for part in self._parts if (part[2] >= 0).any()]
        self._count = len(units)
        sizes = np.zeros(self._count)
        for kernel, axis, groups in self._parts:
            np.add.at(sizes, groups[groups >= 0], math.prod(kernel.shape) // kernel.shape[axis])
        self._roots = np.sqrt(sizes).astype("float32")

    def __call__(self) -> Any:
        """Return the sum of the norms; its gradient is finite where all of a unit is zero."""
        squares = [
            ops.sum(ops.square(kernel), axis=[other for other in range(len(kernel.shape)) if other != axis])
            for kernel, axis, _ in self._parts
        ]
        groups = np.concatenate([groups for _, _, groups in self._parts])
        kept = np.flatnonzero(groups >= 0)
        total = ops.segment_sum(ops.take(ops.concatenate(squares), kept), groups[kept], num_segments=self._count)
        return ops.sum(self._roots * ops.sqrt(total + keras.config.epsilon() ** 2))


class Shrinking(keras.Model):
    """A model that is trained with a penalty on its channels."""

    def __init__(self, model: keras.Model, penalty: GroupLasso, strength: float):
        super().__init__(model.input, model.output, name=model.name)
        self.output_names = model.output_names
        self._penalty = penalty
        self._strength = strength

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Return the loss, in training with the penalty."""
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        return loss + self._strength * self._penalty() if training else loss


def _filter_axis(layer: keras.Layer) -> int:
    kernel = traits_of(layer).main_kernel
    return kernel.output_axes[0] % len(kernel.of(layer).shape)
