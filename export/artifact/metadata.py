"""Metadata embedded in the file of an artifact."""

import io
import zipfile
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from ai_edge_litert import schema_py_generated as tflite
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ...core.errors import InputError, describe
from ...tasks.registry import DEFAULT_TASK, get_task
from ..tflite_schema.flatbuffer import pack_model, unpack_model

KEY = "pocketzoo"


class Record(BaseModel):
    """A value that is stored as JSON, including numbers that are not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class ImagesRecord(Record):
    """Identity of a set of images."""

    source: str
    """Name of a dataset or folder and of its split, or `array`."""
    count: int
    seed: int | None = None
    """Seed for subsampling by class; None where all images were used."""
    sha256: str
    """Hash of the pixels as float32, one image after another."""
    keras_accuracy: float | None = None
    """Accuracy of the exported Keras model, 0..1, for a classification with labels."""
    keras_figures: dict[str, float] = Field(default_factory=dict)
    """Metrics of the exported Keras model on other tasks, such as `mean IoU`."""


class Making(Record):
    """How an artifact was made."""

    format: str
    """Such as `tflite-int8`."""
    tools: dict[str, str]
    """Versions of the tools that made it."""
    sparsity: float
    """Share of exact zeros in the kernels, 0..1."""
    calibration: ImagesRecord | None = None
    """The calibration images, for formats that need activation ranges."""
    float_layers: tuple[str, ...] = ()
    """Layers that the user kept in floating point."""
    noise_db: dict[str, float] = Field(default_factory=dict)
    """The layers most affected by quantization: signal-to-noise ratio in decibels, the lowest first."""


class Metadata(Record):
    """The input and output format of an artifact, and its origin."""

    model: str
    task: Annotated[str, AfterValidator(lambda name: get_task(name).name)] = DEFAULT_TASK
    """Name of the task, which defines the meaning of the output."""
    labels: tuple[str, ...]
    """Names of the classes or other outputs, in order."""
    image_shape: tuple[int | None, int | None, int]
    """Height, width, channels; None for an open size."""
    layout: Literal["NHWC", "NCHW"] = "NHWC"
    """Position of the channels of maps: first in ONNX, last elsewhere."""
    pixel_range: tuple[float, float] = (0.0, 255.0)
    """Range of the input's values; 0 to 255 are raw pixels. A quantized artifact takes them by the scale and zero point
    of its input."""
    from_logits: bool = False
    """Whether the output is logits, whose softmax or sigmoid are probabilities."""
    inferred: tuple[str, ...] = ()
    """Which of task, from_logits and pixels were inferred from the model, not stated."""
    mean: tuple[float, ...] | None
    """Normalization inside the model, `(pixels - mean) * scale`; None where the model does not state it."""
    scale: tuple[float, ...] | None
    weights_sha256: str
    """Hash of the source Keras weights."""
    making: Making | None = None
    """How the artifact was made; None for the model itself."""

    @property
    def output_name(self) -> str:
        """Name of the output in artifacts."""
        return "logits" if self.from_logits else get_task(self.task).output_name

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """Return outputs of an artifact in the form of the task, such as one probability for each class."""
        return get_task(self.task).decode_outputs(outputs, from_logits=self.from_logits)


def embed_in_tflite(content: bytes, metadata: Metadata) -> bytes:
    """Name the input and output, store the metadata in a buffer, and append `labels.txt` as a zip.

    TFLite's own tools look for labels in a zip at the end of the file; runtimes ignore it.
    """
    model = unpack_model(content)
    graph = model.subgraphs[0]
    graph.tensors[graph.inputs[0]].name = b"image"
    graph.tensors[graph.outputs[0]].name = metadata.output_name.encode()
    buffer = tflite.BufferT()
    buffer.data = list(metadata.model_dump_json().encode())
    model.buffers.append(buffer)
    entry = tflite.MetadataT()
    entry.name = KEY.encode()
    entry.buffer = len(model.buffers) - 1
    model.metadata = [*(model.metadata or []), entry]
    return append_labels(pack_model(model), metadata.labels)


def append_labels(content: bytes, labels: Sequence[str]) -> bytes:
    """Append a zip with `labels.txt`, one label per line, to a TFLite file."""
    file = io.BytesIO(content)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(zipfile.ZipInfo("labels.txt"), "\n".join(" ".join(label.splitlines()) for label in labels))
    return file.getvalue()


def read_from_tflite(content: bytes) -> Metadata | None:
    """Read the metadata of a TFLite file; None if another tool made it."""
    model = tflite.Model.GetRootAsModel(content, 0)
    for index in range(model.MetadataLength()):
        entry = model.Metadata(index)
        if entry.Name() == KEY.encode():
            if not zipfile.is_zipfile(io.BytesIO(content)):
                raise InputError("the labels at its end are missing, so it has been truncated.")
            return _parse(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes())
    return None


def read_from_onnx(properties: dict[str, str]) -> Metadata | None:
    """Read the metadata from the properties of an ONNX file; None if another tool made it."""
    return _parse(properties[KEY]) if KEY in properties else None


def _parse(text: str | bytes) -> Metadata:
    try:
        return Metadata.model_validate_json(text)
    except ValidationError as error:
        raise InputError(f"its pocketzoo metadata is damaged: {describe(error)}.") from error
