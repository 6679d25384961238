"""Sensitivity of a model to pruning each of its layers, and the sparsity per layer that follows from it."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np
from scipy.optimize import bisect

from ....core.arguments import check_arguments
from ....core.errors import InputError
from ....core.short_repr import ShortRepr
from ....zoo.decoded_form import decoded_form
from ....zoo.flat import without_optimizer
from ....zoo.model_arguments import accepts_any_model
from ...compatibility import check_fit_together, describe_model
from ...data.accepted_data import accepts_any_data
from ...data.images import ImageData
from ...data.pipeline import evaluation_batches
from ...engine.objectives import objectives
from ..quantization.detection import check_not_quantized
from .layer_selection import kernels_of, layouts_of, select_layers
from .masks import Masks
from .sparsity import Sparsity

LEVELS = (0.5, 0.7, 0.8, 0.9, 0.95)
"""Default shares of zeros to measure."""


@dataclass(frozen=True)
class LayerSensitivity(ShortRepr):
    """Sensitivity of one layer of the flat form."""

    name: str
    weights: int
    """Number of weights in its kernel."""
    figures: tuple[dict[str, float], ...]
    """Validation loss and metrics of the model with only this layer pruned, at each of the levels."""
    target: float
    """Proposed share of zeros, 0..1."""


@dataclass(frozen=True)
class Sensitivity(ShortRepr):
    """Measured sensitivity of all layers, and proposed settings."""

    levels: tuple[float, ...]
    """Increasing shares of zeros at which each layer was measured."""
    dense: dict[str, float]
    """Validation loss and metrics of the unpruned model."""
    layers: tuple[LayerSensitivity, ...]
    images: int
    """Number of validation images."""
    proposal: Sparsity
    """The input settings with a target for each layer, such that pruning any layer alone raises the loss by about the
    same amount, and all of them together reach the target."""

    @property
    def figure(self) -> str:
        """Name of the most important figure: the first metric, or the loss where there is none."""
        return next((name for name in self.dense if name != "loss"), "loss")

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain data, for JSON."""
        return asdict(self) | {"proposal": self.proposal.model_dump(mode="json")}


@accepts_any_data("dataset")
@check_arguments
@accepts_any_model
def sensitivity(
    model: keras.Model,
    data: ImageData,
    sparsity: float | Sparsity = 0.5,
    *,
    levels: Sequence[float] = LEVELS,
    images: int = 1000,
) -> Sensitivity:
    """Measure the effect of pruning each layer of a trained `model` alone, at each of `levels`, without training.

    Li et al.: Pruning Filters for Efficient ConvNets (arXiv:1608.08710), section 3.2, applied to single weights. The
    model is unchanged afterwards.

    Args:
        model: A trained model.
        data: The dataset on whose validation split the model is evaluated.
        sparsity: The share of zeros over all layers that the proposal is to reach; or full settings, which also select
            the layers and the pattern.
        levels: Shares of zeros to measure, increasing, above 0 and below 1.
        images: Largest number of validation images to evaluate on, drawn at random.

    Raises:
        InputError: The settings do not fit the model, `levels` do not increase, or the target is above the last level.
    """
    settings = sparsity if isinstance(sparsity, Sparsity) else Sparsity(target=sparsity)
    levels = tuple(levels)
    _check(settings, levels, images)
    check_not_quantized(model, "pruned")
    describe_model(model, data)
    check_fit_together(model, data)
    names = list(select_layers(model, settings))
    kernels = kernels_of(model, names)
    split = data.validation.drawn(images)
    network = without_optimizer(decoded_form(model))
    network.compile(**objectives(model))

    def measure() -> dict[str, float]:
        return network.evaluate(evaluation_batches(split, 32), return_dict=True, verbose=0)

    dense = measure()
    all_masks = [
        Masks([kernel], settings, [layout]) for kernel, layout in zip(kernels, layouts_of(model, names), strict=True)
    ]
    layer_figures = [
        _measure_layer(kernel, masks, levels, measure) for kernel, masks in zip(kernels, all_masks, strict=True)
    ]
    weights = np.array([np.prod(kernel.shape) for kernel in kernels])
    rises = np.array([[at_level["loss"] - dense["loss"] for at_level in figures] for figures in layer_figures])
    targets = equal_rise(levels, rises, weights, settings.target)
    rows = zip(names, weights.tolist(), layer_figures, targets.tolist(), strict=True)
    layers = tuple(LayerSensitivity(*row) for row in rows)
    target_by_layer = dict(zip(names, targets.tolist(), strict=True))
    proposal = Sparsity(**settings.explicit_fields() | {"scope": "layer", "layers": target_by_layer})
    return Sensitivity(levels, dense, layers, len(split), proposal)


def _check(settings: Sparsity, levels: tuple[float, ...], images: int) -> None:
    if images < 1:
        raise InputError(f"images is {images}; it must be 1 or more.")
    if settings.m_by_n:
        raise InputError(
            f"pattern {settings.pattern} has the same share of zeros in every layer, so there is nothing to choose."
        )
    if not levels or list(levels) != sorted({*levels}) or not 0 < levels[0] <= levels[-1] < 1:
        raise InputError(f"levels are {levels}; they must increase, above 0 and below 1.")
    if not 0 < settings.target <= levels[-1]:
        raise InputError(f"target is {settings.target}; it must be above 0 and at most the last level, {levels[-1]}.")


def _measure_layer(
    kernel: keras.Variable, masks: Masks, levels: Sequence[float], measure: Callable[[], dict[str, float]]
) -> tuple[dict[str, float], ...]:
    """Return the results of `measure` with the kernel pruned to each of the levels; then restore the kernel."""
    before = keras.ops.convert_to_numpy(kernel)
    figures = []
    try:
        for level in levels:  # the weights kept at one level include those kept at the next
            masks.update([level])
            figures.append(measure())
    finally:
        kernel.assign(before)
    return tuple(figures)


def equal_rise(levels: Sequence[float], rises: np.ndarray, weights: np.ndarray, target: float) -> np.ndarray:
    """Return a share of zeros for each layer such that the loss rises equally in each and the total is `target`.

    Args:
        levels: Increasing shares of zeros.
        rises: Rise of the loss at each level, `(layers, levels)`; interpolated linearly between levels.
        weights: Number of weights in each layer.
        target: Share of zeros over all layers, at most the last level.

    Returns:
        Shares rounded to four digits, `(layers,)`, none above the last level.
    """
    at_levels = np.array([0.0, *levels])
    curves = np.maximum.accumulate(np.pad(rises, ((0, 0), (1, 0))), axis=1)
    highest = curves.max() or 1.0
    curves += 1e-6 * highest * at_levels  # strictly increasing, also where zeros cost nothing

    def shares(rise: float) -> np.ndarray:
        return np.array([np.interp(rise, curve, at_levels) for curve in curves])

    def excess(rise: float) -> float:
        return (
            float(np.average(shares(rise), weights=weights)) - target + 1e-12
        )  # despite rounding not below 0 at the last level

    return np.round(shares(bisect(excess, 0.0, curves.max(), xtol=1e-14 * highest)), 4)
