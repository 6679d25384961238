"""How much a model loses when one of its layers is pruned, and what sparsity of each layer follows from that."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np
from scipy.optimize import bisect

from ....core.errors import InputError
from ....zoo.flat import without_optimizer
from ...compatibility import check_fit_together
from ...data.images import ImageData
from ...data.pipeline import evaluation_batches
from ...engine.objectives import objectives
from ..quantization.detection import check_not_quantized
from .layer_selection import kernels_of, select_layers
from .masks import Masks
from .sparsity import Sparsity

LEVELS = (0.5, 0.7, 0.8, 0.9, 0.95)


@dataclass(frozen=True)
class LayerSensitivity:
    """Of one layer of the flat form."""

    name: str
    weights: int
    """In its kernel."""
    figures: tuple[dict[str, float], ...]
    """Of the model with nothing but this layer pruned, at each of the levels: loss and metrics on validation."""
    target: float
    """Share of zeros that it is proposed to have, 0..1."""


@dataclass(frozen=True)
class Sensitivity:
    """What was measured, and what follows from it."""

    levels: tuple[float, ...]
    """Shares of zeros, rising, at which each layer was measured."""
    dense: dict[str, float]
    """Loss and metrics of the model as it is."""
    layers: tuple[LayerSensitivity, ...]
    images: int
    """Of the validation split, that were measured on."""
    proposal: Sparsity
    """The settings that were given, with targets by layer: with each of them alone the loss rises by about as much, and
    together they make the target."""

    @property
    def figure(self) -> str:
        """What people ask for first: the first metric, or the loss where there is none."""
        return next((name for name in self.dense if name != "loss"), "loss")

    def to_dict(self) -> dict[str, Any]:
        """The same as plain data, for JSON."""
        return asdict(self) | {"proposal": self.proposal.model_dump(mode="json")}


def sensitivity(
    model: keras.Model,
    data: ImageData,
    sparsity: float | Sparsity = 0.5,
    *,
    levels: Sequence[float] = LEVELS,
    images: int = 1000,
) -> Sensitivity:
    """Prunes each layer of a trained `model` alone, to each of `levels`, and measures it without training.

    Li et al.: Pruning Filters for Efficient ConvNets (arXiv:1608.08710), section 3.2, for single weights. The model is
    the same afterwards.

    Args:
        model: A trained model.
        data: On whose validation split it is measured.
        sparsity: The share of zeros over all layers that the proposal is to have; or that with the layers and the
            pattern that are meant.
        levels: Shares of zeros to measure, rising, above 0 and below 1.
        images: Most images to measure on, evenly taken from the split.

    Raises:
        InputError: The settings do not fit the model, `levels` do not rise, or the target is above the last of them.
    """
    how = sparsity if isinstance(sparsity, Sparsity) else Sparsity(target=sparsity)
    levels = tuple(levels)
    _check(how, levels, images)
    check_not_quantized(model, "pruned")
    check_fit_together(model, data)
    names = list(select_layers(model, how))
    kernels = kernels_of(model, names)
    split = data.validation.drawn(images)
    network = without_optimizer(model)
    network.compile(**objectives(model))

    def measure() -> dict[str, float]:
        return network.evaluate(evaluation_batches(split, 32), return_dict=True, verbose=0)

    dense = measure()
    figures = [_figures_of(kernel, how, levels, measure) for kernel in kernels]
    weights = np.array([np.prod(kernel.shape) for kernel in kernels])
    rises = np.array([[at_level["loss"] - dense["loss"] for at_level in of_layer] for of_layer in figures])
    targets = equal_rise(levels, rises, weights, how.target)
    rows = zip(names, weights.tolist(), figures, targets.tolist(), strict=True)
    layers = tuple(LayerSensitivity(*row) for row in rows)
    proposal = Sparsity(
        **how.explicit_fields() | {"scope": "layer", "layers": dict(zip(names, targets.tolist(), strict=True))}
    )
    return Sensitivity(levels, dense, layers, len(split), proposal)


def _check(how: Sparsity, levels: tuple[float, ...], images: int) -> None:
    if images < 1:
        raise InputError(f"images is {images}; it takes 1 or more.")
    if how.m_by_n:
        raise InputError(
            f"pattern {how.pattern} has the same share of zeros in every layer: there is nothing to choose."
        )
    if not levels or list(levels) != sorted({*levels}) or not 0 < levels[0] <= levels[-1] < 1:
        raise InputError(f"levels are {levels}; they take shares above 0 and below 1 that rise.")
    if not 0 < how.target <= levels[-1]:
        raise InputError(f"target is {how.target}; it takes more than 0 and no more than the last level, {levels[-1]}.")


def _figures_of(kernel, how, levels, measure) -> tuple[dict[str, float], ...]:
    before, masks = keras.ops.convert_to_numpy(kernel), Masks([kernel], how)
    figures = []
    try:
        for level in levels:  # each is a part of what the one before has left
            masks.update([level])
            figures.append(measure())
    finally:
        kernel.assign(before)
    return tuple(figures)


def equal_rise(levels: Sequence[float], rises: np.ndarray, weights: np.ndarray, target: float) -> np.ndarray:
    """The share of zeros for each layer at which the loss rises by the same in each, such that together they make it.

    Args:
        levels: Shares of zeros, rising.
        rises: Of the loss at each level, `(layers, levels)`; between two levels it is taken for linear.
        weights: Number of them in each layer.
        target: Share of zeros over all layers, no more than the last level.

    Returns:
        Shares to four digits, `(layers,)`, none above the last level.
    """
    at_levels = np.array([0.0, *levels])
    curves = np.maximum.accumulate(np.pad(rises, ((0, 0), (1, 0))), axis=1)
    highest = curves.max() or 1.0
    curves += 1e-6 * highest * at_levels  # where zeros cost nothing, more of them come after fewer

    def shares(rise: float) -> np.ndarray:
        return np.array([np.interp(rise, curve, at_levels) for curve in curves])

    def excess(rise: float) -> float:
        return float(np.average(shares(rise), weights=weights)) - target + 1e-12  # at the last level it is 0

    return np.round(shares(bisect(excess, 0.0, curves.max(), xtol=1e-14 * highest)), 4)
