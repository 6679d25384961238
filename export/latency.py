"""How long one image takes."""

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..zoo.errors import InputError
from .artifact import Artifact, opened

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Latency:
    """Milliseconds for one image, over `runs` runs after a warm-up."""

    median_ms: float
    p90_ms: float
    min_ms: float
    runs: int

    def to_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return asdict(self)


def benchmark(artifact_or_model: "Artifact | keras.Model", *, runs: int = 50) -> Latency:
    """Times one image at a time, on the threads that the artifact was opened with.

    Args:
        artifact_or_model: From `load_artifact`, or a Keras model (run as a compiled graph).
        runs: How many runs to time, 1 or more.
    """
    if runs < 1:
        raise InputError(f"runs is {runs}; it takes 1 or more.")
    artifact = opened(artifact_or_model)
    tensor = artifact.input.from_real(_pixels(artifact.input.shape))
    for _ in range(max(3, runs // 10)):
        artifact.invoke(tensor)
    milliseconds = []
    for _ in range(runs):
        start = time.perf_counter()
        artifact.invoke(tensor)
        milliseconds.append((time.perf_counter() - start) * 1000)
    median, p90 = np.percentile(milliseconds, [50, 90])
    return Latency(float(median), float(p90), float(min(milliseconds)), runs)


def _pixels(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape).astype("float32")
