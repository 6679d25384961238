"""Advice on compression: which methods make a model smaller or faster on a target, measured before any training."""

import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import keras

from ....core.arguments import check_arguments
from ....core.errors import InputError
from ....core.short_repr import ShortRepr
from ....zoo.model_arguments import accepts_any_model
from ..channels.apply.removal import plan_channels, remove_channels
from ..weights.layer_selection import kernels_of, layouts_of, select_layers
from ..weights.masks import Masks
from ..weights.sparsity import Sparsity
from .goals import Goal, Runtime, goal_of
from .measurement import ArtifactCost, MeasureArtifacts

WORTHWHILE = 1.2
"""Least factor, in speed or in size, at which a method is recommended."""
SPARSITY = 0.8
"""Share of zero weights that is measured."""
HALF_CHANNELS_BUDGET = "macs:0.25"
"""Budget of multiply-adds that half of the channels of every layer take."""
HALF_CHANNELS = "half the channels"


@dataclass(frozen=True)
class Variant(ShortRepr):
    """A compressed variant of a model, to be measured."""

    method: str
    model: keras.Model
    format: str
    """Name of the export format, such as `tflite-int8`."""
    command: str
    """How to apply the method."""


@dataclass(frozen=True)
class MethodAdvice(ShortRepr):
    """Measured effect of one compression method, and whether it pays."""

    method: str
    bytes: int
    gzip_bytes: int
    median_ms: float
    times_as_fast: float
    """Latency of the original model divided by that of the compressed one."""
    times_smaller: float | None
    """The same for the size that matters on the target; None where none does."""
    advice: str

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain data, for JSON."""
        fields = asdict(self)
        return {"way": fields.pop("method")} | fields


@dataclass(frozen=True)
class CompressionAdvice(ShortRepr):
    """What each compression method would bring on a target."""

    model: str
    target: str
    baseline: ArtifactCost
    """Of the uncompressed model in float32."""
    methods: tuple[MethodAdvice, ...]
    not_measured: dict[str, str]
    """Reason by method that cannot be applied to the model."""

    @property
    def runtime(self) -> Runtime:
        """The runtime that was measured."""
        return goal_of(self.target).runtime

    def to_dict(self) -> dict[str, Any]:
        """All figures as plain data, for JSON."""
        size = {"bytes": self.baseline.size.bytes, "gzip_bytes": self.baseline.size.gzip_bytes}
        return {
            "model": self.model,
            "target": self.target,
            "machine": platform.machine(),
            "as it is": {"size": size, "median_ms": self.baseline.median_ms},
            "ways": [method.to_dict() for method in self.methods],
        }


@check_arguments
@accepts_any_model
def advise(model: keras.Model, target: str = "mobile", *, measure: MeasureArtifacts) -> CompressionAdvice:
    """Measure what int8, half of the channels and 80 % zeros would bring on `target`, without training anything.

    Only sizes and latencies are measured; the accuracy that a method costs depends on training and data.

    Args:
        model: A model with a fixed image size and one output, trained or not. It is not changed.
        target: `"mobile"`, `"edge"`, `"web"` (each measured in LiteRT) or `"server"` (in ONNX Runtime).
        measure: Converts models and measures the artifacts, such as `export.measure_artifacts`.

    Returns:
        The measurements on this machine, with one recommendation per method.

    Raises:
        InputError: `target` is unknown, or the model cannot be exported.
    """
    goal = goal_of(target)
    not_measured: dict[str, str] = {}
    variants = list(_variants(model, goal.runtime, not_measured))
    costs = measure(
        {variant.method: variant.model for variant in variants},
        {variant.method: variant.format for variant in variants},
    )
    original, *compressed = variants
    baseline = costs[original.method]
    methods = tuple(judge(variant, baseline, costs[variant.method], goal) for variant in compressed)
    return CompressionAdvice(model.name, target, baseline, methods, not_measured)


def judge(variant: Variant, baseline: ArtifactCost, cost: ArtifactCost, goal: Goal) -> MethodAdvice:
    """Return whether a variant pays, given the costs of the original model and of the variant."""
    faster = baseline.median_ms / cost.median_ms
    smaller = getattr(baseline.size, goal.size) / getattr(cost.size, goal.size) if goal.size else None
    is_smaller = smaller is not None and smaller >= WORTHWHILE
    speed = f"{1 / faster:.1f} times as slow" if faster * WORTHWHILE <= 1 else "no faster"
    size = f"{smaller:.1f} times {goal.smaller}" if is_smaller else ""
    if faster >= WORTHWHILE:
        advice = f"Pays: {faster:.1f} times as fast{size and ' and '}{size}. {variant.command}"
    elif is_smaller:
        advice = f"Pays in size only: {size}, {'' if speed == 'no faster' else 'but '}{speed}. {variant.command}"
    else:
        advice = f"Does not pay here: {speed}{', no smaller' if goal.size else ''}."
    return MethodAdvice(
        method=variant.method,
        bytes=cost.size.bytes,
        gzip_bytes=cost.size.gzip_bytes,
        median_ms=cost.median_ms,
        times_as_fast=faster,
        times_smaller=smaller,
        advice=advice,
    )


def _variants(model: keras.Model, runtime: str, not_measured: dict[str, str]) -> Iterator[Variant]:
    """The variants to measure, the original model first; adds the reason for each method that does not apply."""
    sparse, zeros = sparse_copy(model, SPARSITY), f"{SPARSITY:.0%} zeros"
    float32, int8 = f"{runtime}-fp32", f"{runtime}-int8"
    prune = f"`pocketzoo prune --sparsity {SPARSITY}`"
    yield Variant("as it is", model, float32, "")
    yield Variant("int8", model, int8, "`pocketzoo export`, or `pocketzoo quantize` where that costs accuracy")
    try:
        plan = plan_channels(model, budget=HALF_CHANNELS_BUDGET, scope="layer")
        narrow = remove_channels(model, plan).model
    except InputError as error:
        not_measured[HALF_CHANNELS] = str(error)
    else:
        prune_channels = f"`pocketzoo prune-channels --budget {HALF_CHANNELS_BUDGET}`"
        yield Variant(HALF_CHANNELS, narrow, float32, prune_channels)
        yield Variant(f"{HALF_CHANNELS}, int8", narrow, int8, "`pocketzoo compress`")
    yield Variant(zeros, sparse, float32, prune)
    if runtime == "tflite":
        yield Variant(f"{zeros}, left out of the file", sparse, "tflite-sparse", prune)


def sparse_copy(model: keras.Model, sparsity: float) -> keras.Model:
    """Return a copy of `model` in which the weights that `prune` would mask at that share of zeros, 0..1, are zero."""
    copy, settings = keras.models.clone_model(model), Sparsity(target=sparsity)
    copy.set_weights(model.get_weights())
    targets = select_layers(copy, settings)
    masks = Masks(kernels_of(copy, targets), settings, layouts_of(copy, targets))
    masks.update(list(targets.values()))
    return copy
