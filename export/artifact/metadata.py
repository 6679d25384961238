"""What an artifact says of itself, inside its own file. Imports no TensorFlow."""

import io
import zipfile
from collections.abc import Sequence
from typing import Literal

from ai_edge_litert import schema_py_generated as tflite
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...core.errors import InputError, describe
from ..tflite_schema.flatbuffer import packed, unpacked

KEY = "pocketzoo"


ANSWERS = {
    "classification": "probabilities",
    "multi_label": "probabilities",
    "regression": "values",
    "segmentation": "mask",
    "embedding": "embedding",
}
"""What the output of an artifact is called, by its task."""


class Record(BaseModel):
    """What is written as JSON and read back, numbers that are none among it."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class ImagesRecord(Record):
    """Which images were used."""

    source: str
    """Where they came from: the name of a data set or a folder and of its split, or `array`."""
    count: int
    seed: int | None = None
    """Of the draw, by class where these are known, if there were more; None where all were taken."""
    sha256: str
    """Of their pixels as float32, one image after another."""
    keras_accuracy: float | None = None
    """Of the model that was exported, 0..1, where the classes are known."""
    keras_figures: dict[str, float] = Field(default_factory=dict)
    """Of the model that was exported, where what is right is no class: its `mean IoU`, for one."""


class Making(Record):
    """How an artifact was made."""

    format: str
    """Such as `tflite-int8`."""
    tools: dict[str, str]
    """Versions of what made it."""
    sparsity: float
    """Share of exact zeros in the kernels, 0..1."""
    calibration: ImagesRecord | None = None
    """The images that showed the ranges of activations, where it took some."""
    float_layers: tuple[str, ...] = ()
    """Layers that were left in floats by choice."""
    noise_db: dict[str, float] = Field(default_factory=dict)
    """The layers that suffer most from integers: signal-to-noise ratio in decibels, the worst first."""


class Metadata(Record):
    """How to feed an artifact and how to read its answer."""

    model: str
    task: Literal["classification", "multi_label", "regression", "segmentation", "embedding"] = "classification"
    """What the answer is."""
    labels: tuple[str, ...]
    """Names of the classes (or other outputs), in their order."""
    image_shape: tuple[int | None, int | None, int]
    """Height, width, channels; None where the size is open."""
    layout: Literal["NHWC", "NCHW"] = "NHWC"
    """Where the channels of maps stand: first in ONNX, last elsewhere."""
    pixel_range: tuple[float, float] = (0.0, 255.0)
    """What goes in: raw pixels. An integer artifact takes them by the scale and zero point of its input."""
    mean: tuple[float, ...] | None
    """Normalisation that the artifact does itself, `(pixels - mean) * scale`; None where the model does not say."""
    scale: tuple[float, ...] | None
    weights_sha256: str
    """Of the Keras weights it was made from."""
    making: Making | None = None
    """How the artifact was made; None of the model itself."""

    @property
    def answer(self) -> str:
        """What the output is called."""
        return ANSWERS[self.task]


def embed_in_tflite(content: bytes, metadata: Metadata) -> bytes:
    """Names the input and output, puts the metadata into a buffer, and appends `labels.txt` as a zip.

    The zip at the end is where TFLite's own tools look for labels; runtimes ignore it.
    """
    model = unpacked(content)
    graph = model.subgraphs[0]
    graph.tensors[graph.inputs[0]].name = b"image"
    graph.tensors[graph.outputs[0]].name = metadata.answer.encode()
    buffer = tflite.BufferT()
    buffer.data = list(metadata.model_dump_json().encode())
    model.buffers.append(buffer)
    entry = tflite.MetadataT()
    entry.name = KEY.encode()
    entry.buffer = len(model.buffers) - 1
    model.metadata = [*(model.metadata or []), entry]
    return append_labels(packed(model), metadata.labels)


def append_labels(content: bytes, labels: Sequence[str]) -> bytes:
    """A TFLite file with `labels.txt` in a zip at its end, one line a label."""
    file = io.BytesIO(content)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(zipfile.ZipInfo("labels.txt"), "\n".join(" ".join(label.splitlines()) for label in labels))
    return file.getvalue()


def read_from_tflite(content: bytes) -> Metadata | None:
    """The metadata of a TFLite file, or None if it has none of ours."""
    model = tflite.Model.GetRootAsModel(content, 0)
    for index in range(model.MetadataLength()):
        entry = model.Metadata(index)
        if entry.Name() == KEY.encode():
            if not zipfile.is_zipfile(io.BytesIO(content)):
                raise InputError("the labels at its end are missing, so it has been cut short.")
            return _parse(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes())
    return None


def read_from_onnx(properties: dict[str, str]) -> Metadata | None:
    """The metadata among the properties of an ONNX file, or None if it has none of ours."""
    return _parse(properties[KEY]) if KEY in properties else None


def _parse(text: str | bytes) -> Metadata:
    try:
        return Metadata.model_validate_json(text)
    except ValidationError as error:
        raise InputError(f"its pocketzoo metadata is damaged: {describe(error)}.") from error
