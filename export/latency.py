"""How long one image takes."""

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ..core.errors import InputError
from .artifact.tensors import closed
from .loading import Artifact, opened

if TYPE_CHECKING:
    import keras

Key = TypeVar("Key", bound=Hashable)
FEWEST = 3
"""Runs, where time is short."""


@dataclass(frozen=True)
class Latency:
    """Milliseconds for one image, over `runs` runs after a warm-up."""

    median_ms: float
    p90_ms: float
    min_ms: float
    runs: int

    @classmethod
    def of(cls, milliseconds: Sequence[float]) -> "Latency":
        """Of single runs."""
        median, p90 = np.percentile(milliseconds, [50, 90])
        return cls(float(median), float(p90), float(min(milliseconds)), len(milliseconds))

    def to_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return asdict(self)


def benchmark(artifact_or_model: "Artifact | keras.Model", *, runs: int = 50) -> Latency:
    """Times one image at a time, on the threads that the artifact was opened with.

    Args:
        artifact_or_model: From `load_artifact`, or a Keras model (run as a compiled graph).
        runs: How many runs to time, 1 or more.
    """
    return side_by_side({"": artifact_or_model}, runs=runs)[""]


def glance(artifact: Artifact, *, runs: int = 50, seconds: float = 0.5) -> Latency:
    """The same in about so many seconds: fewer runs, three at the least, where one image takes long."""
    call = _prepared(artifact)
    first = max(_milliseconds(call, 2))
    return Latency.of(_milliseconds(call, min(runs, max(FEWEST, int(1000 * seconds / first)))))


def first_run(artifact: Artifact) -> float:
    """Milliseconds that one image takes at most."""
    (milliseconds,) = _milliseconds(_prepared(artifact), 1)
    return milliseconds


def side_by_side(
    artifacts_or_models: "Mapping[Key, Artifact | keras.Model]", *, runs: int = 50, rounds: int = 1
) -> dict[Key, Latency]:
    """The same of several, to be compared with one another: in turn, so that what slows the machine slows all alike.

    Args:
        artifacts_or_models: By any key, each as `benchmark` takes it.
        runs: How many runs to time of each, `rounds` or more.
        rounds: In how many turns.
    """
    if runs < rounds:
        raise InputError(f"runs is {runs}; it takes {rounds} or more.")
    calls = {key: _prepared(opened(given)) for key, given in artifacts_or_models.items()}
    for call in calls.values():
        _milliseconds(call, max(3, runs // 10))
    times: dict[Key, list[float]] = {key: [] for key in calls}
    for _ in range(rounds):
        for key, call in calls.items():
            times[key] += _milliseconds(call, runs // rounds)
    return {key: Latency.of(milliseconds) for key, milliseconds in times.items()}


def _prepared(artifact: Artifact) -> Callable[[], object]:
    tensor = artifact.input.from_real(_pixels((1, *closed(artifact.input.image_shape))))
    return lambda: artifact.invoke(tensor)


def _milliseconds(call: Callable[[], object], runs: int) -> list[float]:
    milliseconds = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        milliseconds.append((time.perf_counter() - start) * 1000)
    return milliseconds


def _pixels(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape).astype("float32")
