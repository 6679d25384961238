"""Latency of one image."""

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ..core.arguments import check_arguments
from ..core.errors import InputError
from ..core.outputs import map_outputs
from ..core.short_repr import ShortRepr
from .artifact.artifact import Artifact
from .artifact.tensors import TensorInfo, concrete_shape
from .loading import to_artifact

if TYPE_CHECKING:
    import keras

Key = TypeVar("Key", bound=Hashable)
MIN_RUNS = 3
"""Runs where time is short."""


@dataclass(frozen=True)
class Latency(ShortRepr):
    """Milliseconds for one image, over `runs` runs after warm-up."""

    median_ms: float
    p90_ms: float
    min_ms: float
    runs: int

    @classmethod
    def from_runs(cls, milliseconds: Sequence[float]) -> "Latency":
        """Summarize the times of single runs."""
        median, p90 = np.percentile(milliseconds, [50, 90])
        return cls(float(median), float(p90), float(min(milliseconds)), len(milliseconds))

    of = from_runs  # the former name

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain values for JSON."""
        return asdict(self)


@check_arguments
def benchmark(artifact_or_model: "Artifact | keras.Model", *, runs: int = 50) -> Latency:
    """Time one image at a time, on the threads that the artifact was opened with.

    Args:
        artifact_or_model: From `load_artifact`, or a Keras model (run as a compiled graph).
        runs: Number of timed runs, 1 or more.
    """
    return side_by_side({"": artifact_or_model}, runs=runs)[""]


def quick_benchmark(artifact: Artifact, *, runs: int = 50, seconds: float = 0.5) -> Latency:
    """Time an artifact for about `seconds`: fewer runs, but at least three, where one image takes long."""
    call = _prepare(artifact)
    first = max(_time_runs(call, 2))
    return Latency.from_runs(_time_runs(call, min(runs, max(MIN_RUNS, int(1000 * seconds / first)))))


def time_first_run(artifact: Artifact) -> float:
    """Milliseconds for one image without warm-up."""
    (milliseconds,) = _time_runs(_prepare(artifact), 1)
    return milliseconds


def side_by_side(
    artifacts_or_models: "Mapping[Key, Artifact | keras.Model]", *, runs: int = 50, rounds: int = 1
) -> dict[Key, Latency]:
    """Compare the latencies of several artifacts, in turn, so that other load on the machine affects all alike.

    Args:
        artifacts_or_models: By any key, each as in `benchmark`.
        runs: Number of timed runs of each, `rounds` or more.
        rounds: Number of turns.
    """
    if runs < rounds:
        raise InputError(f"runs is {runs}; it takes {rounds} or more.")
    calls = {key: _prepare(to_artifact(each)) for key, each in artifacts_or_models.items()}
    for call in calls.values():
        _time_runs(call, max(3, runs // 10))
    times: dict[Key, list[float]] = {key: [] for key in calls}
    for _ in range(rounds):
        for key, call in calls.items():
            times[key] += _time_runs(call, runs // rounds)
    return {key: Latency.from_runs(milliseconds) for key, milliseconds in times.items()}


def _prepare(artifact: Artifact) -> Callable[[], object]:
    tensors = map_outputs(_random_tensor, artifact.input)
    return lambda: artifact.invoke(tensors)


def _time_runs(call: Callable[[], object], runs: int) -> list[float]:
    milliseconds = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        milliseconds.append((time.perf_counter() - start) * 1000)
    return milliseconds


def _random_tensor(tensor: TensorInfo) -> np.ndarray:
    """Random pixels for an image, else zeros or empty texts."""
    if tensor.is_image and tensor.is_number:
        height, width, channels = concrete_shape(tensor.image_shape)
        pixels = np.random.default_rng(0).integers(0, 256, (1, height, width, channels))
        return tensor.from_real(pixels.astype("float32"))
    if tensor.dtype == "bytes" or tensor.dtype == "string":
        return tensor.from_real(np.full(tensor.example_shape, "", object))
    if not tensor.is_number:
        raise InputError(f"its input {tensor.name!r} has type {tensor.dtype}, for which there are no example values.")
    return tensor.from_real(np.zeros(tensor.example_shape, "float32"))
