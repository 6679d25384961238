"""MediaPipe Tasks, by which apps on phones load classifiers and segmenters."""

import json
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np

from .client_environment import run_client

MODULE = "mediapipe"
PROGRAM = Path(__file__).with_name("mediapipe_program.py")


@dataclass(frozen=True)
class MediaPipeRun:
    """Results of a task."""

    outputs: np.ndarray
    """Float32, one row for each image."""
    labels: tuple[str, ...]
    """Names of the values of the last axis."""
    median_ms: float
    """Latency of one image in milliseconds, with the conversion of the image."""
    version: str
    """Version of MediaPipe."""


def run_mediapipe(
    path: Path, task: Literal["classify", "segment"], images: np.ndarray, output_shape: tuple[int, ...]
) -> MediaPipeRun:
    """Run a TFLite file as an app does.

    Args:
        path: The file.
        task: What is run, ImageClassifier or ImageSegmenter.
        images: Camera images, uint8 RGB `(count, height, width, 3)`, in the size of the model.
        output_shape: Shape of the output for one image.

    Raises:
        RuntimeError: MediaPipe is not installed, or refuses the file.
    """
    with TemporaryDirectory() as folder:
        np.save(Path(folder, "images.npy"), images)
        done = run_client(MODULE, PROGRAM, task, path.absolute(), folder, *map(str, output_shape))
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            raise RuntimeError(lines[-1] if lines else f"the process exited with code {done.returncode}")
        results = json.loads(Path(folder, "results.json").read_text(encoding="utf-8"))
        outputs = np.load(Path(folder, "outputs.npy"))
    milliseconds = float(np.median(results["milliseconds"]))
    return MediaPipeRun(outputs, tuple(results["labels"]), milliseconds, results["version"])
