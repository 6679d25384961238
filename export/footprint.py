"""The costs of a model in use: file sizes and measured latency."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np

from ..core.arguments import check_arguments
from ..core.errors import unknown
from ..core.short_repr import ShortRepr
from ..zoo.flat import flatten_model
from ..zoo.float32_form import float32_form
from ..zoo.layer_table import count_macs
from ..zoo.model_arguments import functional_argument
from ..zoo.saving import save_model
from .artifact.gzip_size import gzipped_size
from .conversion.artifact_files import write_artifacts
from .conversion.export_graph import ExportGraph
from .conversion.trained_integers import activation_bits
from .formats import FORMATS, SPARSE, Format
from .latency import side_by_side
from .loading import open_converted
from .sample_images import random_samples

ROUNDS, RUNS = 5, 50
"""Rounds in which all artifacts are timed in turn, and timed runs of each in all."""
CALIBRATION_IMAGES = 8
"""Noise images for quantization where only size and latency matter."""


@dataclass(frozen=True)
class FileSize(ShortRepr):
    """Size of a file and of its compressed download, in bytes."""

    bytes: int
    gzip_bytes: int

    @classmethod
    def of(cls, path: Path) -> "FileSize":
        """Measure the file at `path`."""
        content = path.read_bytes()
        return cls(len(content), gzipped_size(content))


@dataclass(frozen=True)
class ArtifactCost(ShortRepr):
    """Costs of one artifact in its runtime."""

    size: FileSize
    median_ms: float
    """Latency of one image on one thread of this machine, in milliseconds."""


@dataclass(frozen=True)
class Footprint(ShortRepr):
    """Costs of one model."""

    parameters: int
    """Number of parameters of the flat form: without pixel normalization, with BatchNorm statistics."""
    nonzero: int
    """Number of parameters that are not exactly zero."""
    multiply_adds: int
    saved: FileSize
    """The `.keras` file."""
    artifacts: dict[str, ArtifactCost]
    """By format, such as `tflite-fp32`."""

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain values for JSON."""
        return asdict(self)


SHIPPED = {
    None: ("tflite-fp32", "onnx-fp32"),
    8: ("tflite-int8", "onnx-int8"),
    16: ("tflite-int16x8",),
}
"""TFLite format, and ONNX format where there is one, by the bits of the activations of a quantization-aware model."""


def shipped_formats(model: keras.Model) -> list[Format]:
    """The formats in which `model` should run: in integers if it was trained for them, else in float32."""
    return [FORMATS[name] for name in SHIPPED[activation_bits(flatten_model(model))]]


def milliseconds(model: keras.Model) -> float:
    """Latency of `model` in LiteRT for one image on one thread: a measure for `training.prune_channels`."""
    fmt = shipped_formats(model)[0]
    return artifact_costs({"": model}, {"": [fmt]})[""][fmt.name].median_ms


@check_arguments
def measure_footprints(models: Mapping[str, keras.Model]) -> dict[str, Footprint]:
    """Measure models side by side in the formats in which they ship, for `training.compare_models`.

    Raises:
        InputError: A model cannot be exported: it leaves its size open, or has several outputs.
    """
    return footprints(models, {name: shipped_formats(model) for name, model in models.items()})


@check_arguments
def measure_artifacts(models: Mapping[str, keras.Model], formats: Mapping[str, str]) -> dict[str, ArtifactCost]:
    """Measure one artifact of each model side by side, for `training.advise`.

    Args:
        models: By name; each with a fixed image size and one output.
        formats: Name of the format of each model's artifact, such as `tflite-int8`.

    Raises:
        InputError: A model cannot be exported: it leaves its size open, or has several outputs.
    """
    known = FORMATS | {SPARSE.name: SPARSE}
    for name in models:
        if formats.get(name) not in known:
            raise unknown(f"format of {name}", formats.get(name), known)
    costs = artifact_costs(models, {name: [known[formats[name]]] for name in models})
    return {name: costs[name][formats[name]] for name in models}


def footprints(models: Mapping[str, keras.Model], formats: Mapping[str, Sequence[Format]]) -> dict[str, Footprint]:
    """Measure several models side by side; arguments and errors as in `artifact_costs`."""
    costs = artifact_costs(models, formats)
    return {name: _footprint(model, costs[name]) for name, model in models.items()}


def artifact_costs(
    models: Mapping[str, keras.Model], formats: Mapping[str, Sequence[Format]]
) -> dict[str, dict[str, ArtifactCost]]:
    """Convert several models and time their artifacts in turn.

    Args:
        models: By name; each with a fixed input size and one output.
        formats: The formats of each model. A float model is quantized with activation ranges of noise, which is
            sufficient for latency and size, but not for predictions.

    Returns:
        Costs by model and format.

    Raises:
        InputError: A model cannot be exported: its size is open, or it has several outputs.
    """
    with TemporaryDirectory() as root:
        files = {
            (name, fmt): path
            for number, (name, model) in enumerate(models.items())
            for fmt, path in _convert(model, formats[name], Path(root, str(number))).items()
        }
        artifacts = {key: open_converted(path) for key, path in files.items()}
        times = side_by_side(artifacts, runs=RUNS, rounds=ROUNDS)
        costs = {key: ArtifactCost(FileSize.of(path), times[key].median_ms) for key, path in files.items()}
    return {name: {fmt.name: costs[name, fmt.name] for fmt in formats[name]} for name in models}


def _convert(model: keras.Model, formats: Sequence[Format], folder: Path) -> dict[str, Path]:
    """Write the artifacts of one model; returns their paths by format."""
    folder.mkdir()
    graph = ExportGraph.from_model(float32_form(functional_argument(model)))
    noise = random_samples(graph.metadata, CALIBRATION_IMAGES)
    return {fmt.name: path for path, fmt in write_artifacts(graph, formats, noise, folder)}


def _footprint(model: keras.Model, artifacts: dict[str, ArtifactCost]) -> Footprint:
    weights = [keras.ops.convert_to_numpy(weight) for weight in flatten_model(model).weights]
    with TemporaryDirectory() as folder:
        saved = FileSize.of(save_model(model, Path(folder, "model.keras")))
    return Footprint(
        parameters=sum(weight.size for weight in weights),
        nonzero=sum(int(np.count_nonzero(weight)) for weight in weights),
        multiply_adds=count_macs(model),
        saved=saved,
        artifacts=artifacts,
    )
