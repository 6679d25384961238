"""The stages of a compression that train: one function for each, and the order in which they run."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from ....core.errors import InputError
from ....zoo.contract import contract_of
from ....zoo.endpoints import feature_extractor
from ...data.images import ImageData
from ...recipe.recipe import Recipe
from ..channels.choose.cost_limits import Measure
from ..channels.prune_channels import prune_channels
from ..clustering.cluster import cluster
from ..default_recipes import CHANNELS, CLUSTERS, QUANTIZATION, SPARSITY
from ..distillation import distill
from ..quantization.quantize_aware import check_recipe, quantize_aware
from ..quantization.rewriting import quantized_model
from ..weights.layer_selection import select_layers
from ..weights.pruning import prune
from ..weights.sparsity import Sparsity
from .spec import (
    ChannelStage,
    ClusterStage,
    CompressionSpec,
    DistillationStage,
    QuantizationStage,
    SparsityStage,
    TrainedStage,
)


@dataclass(frozen=True)
class Inputs:
    """What all stages share."""

    original: keras.Model
    """The model before compression, the teacher of distillation."""
    data: ImageData
    measure: Measure | None
    """Latency of a model in milliseconds, for budgets of latency."""


Stage = Callable[..., keras.Model]
"""From the stage's settings, the model to compress, `Inputs` and the arguments of `fit` that concern the run directory,
to the compressed model. The model to compress may be changed."""


def _remove_channels(settings: ChannelStage, model: keras.Model, inputs: Inputs, **run: Any) -> keras.Model:
    options = settings.model_dump(exclude={"recipe"})
    recipe = _recipe(settings, CHANNELS)
    return prune_channels(model, inputs.data, recipe=recipe, measure=inputs.measure, **options, **run).model


def _distill(settings: DistillationStage, model: keras.Model, inputs: Inputs, **run: Any) -> keras.Model:
    options = settings.model_dump(exclude={"recipe"})
    return distill(model, inputs.original, inputs.data, settings.recipe, **options, **run).model


def _prune(settings: SparsityStage, model: keras.Model, inputs: Inputs, **run: Any) -> keras.Model:
    sparsity = _sparsity(settings)
    return prune(model, inputs.data, _recipe(settings, SPARSITY), sparsity=sparsity, **run).model


def _cluster(settings: ClusterStage, model: keras.Model, inputs: Inputs, **run: Any) -> keras.Model:
    options = settings.model_dump(exclude={"recipe"})
    return cluster(model, inputs.data, _recipe(settings, CLUSTERS), **options, **run).model


def _quantize(settings: QuantizationStage, model: keras.Model, inputs: Inputs, **run: Any) -> keras.Model:
    options = settings.model_dump(exclude={"recipe"})
    return quantize_aware(model, inputs.data, _recipe(settings, QUANTIZATION), **options, **run).model


def _sparsity(settings: SparsityStage) -> Sparsity:
    return Sparsity(**{name: value for name, value in settings.explicit_fields().items() if name != "recipe"})


def _recipe(settings: TrainedStage, default: Recipe) -> Recipe:
    """The default recipe with the fields that the spec sets."""
    return default.changed(**settings.recipe.explicit_fields()) if settings.recipe else default


STAGES: dict[str, Stage] = {
    "channels": _remove_channels,
    "distillation": _distill,
    "sparsity": _prune,
    "clusters": _cluster,
    "quantization": _quantize,
}
"""By section of the spec, in the order in which they run."""


def check_stages(spec: CompressionSpec, model: keras.Model) -> None:
    """Raise InputError where a stage would reject `model`, before the first stage has trained for hours."""
    for name in STAGES:
        recipe = getattr(getattr(spec, name), "recipe", None)
        if recipe and recipe.initializer is not None:
            raise InputError(
                f"spec: {name}.recipe.initializer is {recipe.initializer!r}; a stage continues from trained weights."
            )
    if spec.distillation and spec.distillation.recipe and spec.distillation.recipe.auxiliary:
        raise InputError(
            "spec: distillation.recipe.auxiliary: distillation has a loss of its own; leave auxiliary heads out."
        )
    if spec.distillation and spec.distillation.features:
        feature_extractor(model, spec.distillation.features)
    if spec.sparsity:
        select_layers(model, _sparsity(spec.sparsity))
    if spec.quantization:
        if spec.quantization.recipe:
            check_recipe(spec.quantization.recipe)
        quantized_model(model, spec.quantization.activation_bits, pixels=contract_of(model).pixels)
