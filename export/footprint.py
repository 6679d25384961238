"""What a model costs where it runs: the sizes of its files and the measured time of an image."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np

from ..zoo.flat import flatten_model
from ..zoo.layer_table import count_macs
from ..zoo.saving import save_model
from .artifact.gzip_size import gzipped_size
from .conversion.export_graph import ExportForm
from .conversion.trained_integers import activation_bits
from .conversion.write_artifacts import write_artifacts
from .formats import FORMATS, Format
from .latency import side_by_side
from .loading import open_own
from .sample_images import Samples

ROUNDS, RUNS = 5, 50
"""Of the timing: all artifacts in turn, so often."""
CALIBRATION_IMAGES = 8
"""Of noise, where integers are to be timed and nobody asks how right they are."""


@dataclass(frozen=True)
class FileSize:
    """Bytes of a file, and of what is downloaded of it."""

    bytes: int
    gzip_bytes: int

    @classmethod
    def of(cls, path: Path) -> "FileSize":
        """Of the file at `path`."""
        content = path.read_bytes()
        return cls(len(content), gzipped_size(content))


@dataclass(frozen=True)
class ArtifactCost:
    """Of one artifact on its runtime."""

    size: FileSize
    median_ms: float
    """One image, one thread, on this machine."""


@dataclass(frozen=True)
class Footprint:
    """What one model costs."""

    parameters: int
    """Of the flat form, so without the constants of the pixels; with BatchNorm's statistics."""
    nonzero: int
    """Of the parameters, those that are not exactly zero."""
    multiply_adds: int
    saved: FileSize
    """The `.keras` file."""
    artifacts: dict[str, ArtifactCost]
    """By format, such as `tflite-fp32`."""

    def to_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return asdict(self)


SHIPPED = {
    None: ("tflite-fp32", "onnx-fp32"),
    8: ("tflite-int8", "onnx-int8"),
    16: ("tflite-int16x8",),
}
"""TFLite format, and ONNX format where there is one, by the bits of the activations that a model was trained for."""


def shipped_formats(model: keras.Model) -> list[Format]:
    """The formats in which `model` is meant to run: in integers if it was trained for them, else in float32."""
    return [FORMATS[name] for name in SHIPPED[activation_bits(flatten_model(model))]]


def milliseconds(model: keras.Model) -> float:
    """What `model` takes in LiteRT for one image, on one thread: a measure for `training.prune_channels`."""
    kind = shipped_formats(model)[0]
    return artifact_costs({"": model}, {"": [kind]})[""][kind.name].median_ms


def footprints(models: Mapping[str, keras.Model], formats: Mapping[str, Sequence[Format]]) -> dict[str, Footprint]:
    """Measures several models side by side; arguments and errors as of `artifact_costs`."""
    costs = artifact_costs(models, formats)
    return {name: _footprint(model, costs[name]) for name, model in models.items()}


def artifact_costs(
    models: Mapping[str, keras.Model], formats: Mapping[str, Sequence[Format]]
) -> dict[str, dict[str, ArtifactCost]]:
    """Converts several models and times their artifacts in turn.

    Args:
        models: By name; each for images of one fixed size, with one answer.
        formats: Of each model, what to convert it to. Where integers are asked for of a model
            without ranges of its own, they are those of noise: right for time and size, not for answers.

    Returns:
        By model and format.

    Raises:
        InputError: A model cannot be exported: its size is open, or it has several answers.
    """
    with TemporaryDirectory() as root:
        files = {
            (name, kind): path
            for number, (name, model) in enumerate(models.items())
            for kind, path in _convert(model, formats[name], Path(root, str(number))).items()
        }
        artifacts = {key: open_own(path) for key, path in files.items()}
        times = side_by_side(artifacts, runs=RUNS, rounds=ROUNDS)
        costs = {key: ArtifactCost(FileSize.of(path), times[key].median_ms) for key, path in files.items()}
    return {name: {kind.name: costs[name, kind.name] for kind in formats[name]} for name in models}


def _convert(model: keras.Model, formats: Sequence[Format], folder: Path) -> dict[str, Path]:
    """The artifact files of one model by format."""
    folder.mkdir()
    form = ExportForm.of(model)
    noise = np.random.default_rng(0).integers(0, 256, (CALIBRATION_IMAGES, *form.metadata.image_shape))
    return {kind.name: path for path, kind in write_artifacts(form, formats, Samples(noise, None), folder)}


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
