"""Metadata embedded in the file of an artifact."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from ai_edge_litert import schema_py_generated as tflite
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from ...core.errors import InputError, describe
from ...core.input_files import read_file
from ...core.limits import TEXT_BYTES
from ...core.outputs import by_name, map_outputs
from ...core.short_repr import ShortRepr
from ...tasks.registry import DEFAULT_TASK, get_task
from .directories import LAYOUTS

KEY = "pocketzoo"
TensorNames = tuple[Sequence[str], Sequence[str]]
"""Names of inputs, and of outputs."""
OPTIONAL = ("inputs", "outputs", "origin", "license")
"""Fields of `Metadata` that are left out of files where there is nothing to say."""
TaskName = Annotated[str, AfterValidator(lambda name: get_task(name).name)]


class Record(ShortRepr, BaseModel):
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


class InputForm(Record):
    """One of several inputs."""

    shape: tuple[int, ...]
    """Without the batch; an image has height, width, channels."""
    dtype: str = "float32"
    """Type of the values in the model: `float32`, or for other inputs than images `int32`, `int64` or `bool`."""
    pixel_range: tuple[float, float] | None = None
    """Range of the values of an image; None for other inputs."""


class OutputForm(Record):
    """The meaning of an output."""

    task: TaskName = DEFAULT_TASK
    labels: tuple[str, ...]
    from_logits: bool = False

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """Return outputs in the form of the task."""
        return get_task(self.task).decode_outputs(outputs, from_logits=self.from_logits)


class Metadata(Record):
    """The input and output format of an artifact, and its origin."""

    model: str
    task: TaskName = DEFAULT_TASK
    """Name of the task, which defines the meaning of the output; `raw` where `outputs` defines it."""
    labels: tuple[str, ...]
    """Names of the classes or other outputs, in order; none where `outputs` has them."""
    image_shape: tuple[int | None, int | None, int]
    """Height, width, channels; None for an open size. Of several images, those of the first."""
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
    origin: str | None = None
    """Published weights that it was made from, such as `hf://timm/resnet50.a1_in1k`; None where none are known."""
    license: str | None = None
    """License of these weights, such as `Apache-2.0`."""
    making: Making | None = None
    """How the artifact was made; None for the model itself."""
    inputs: dict[str, InputForm] | None = None
    """Several inputs by name, in the order of the model; None for one image."""
    outputs: dict[str, OutputForm] | None = None
    """Several outputs by name, in the order of the model, or one that the model returns in a dict; None for one."""

    @model_serializer(mode="wrap")
    def _without_absent_names(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = serialize(self)
        return {name: value for name, value in fields.items() if value is not None or name not in OPTIONAL}

    @property
    def output_name(self) -> str:
        """Name of the output in artifacts."""
        return "logits" if self.from_logits else get_task(self.task).output_name

    @property
    def is_plain(self) -> bool:
        """Whether there is one image as input, and one output."""
        return self.inputs is None and self.outputs is None

    @property
    def named(self) -> dict[str, list[str]]:
        """Names of several inputs and of several outputs, under `inputs` and `outputs`."""
        named = {"inputs": self.inputs, "outputs": self.outputs}
        return {kind: list(forms) for kind, forms in named.items() if forms is not None}

    @property
    def input_forms(self) -> dict[str, InputForm]:
        """The inputs by name, which is empty for the only one."""
        if self.inputs is not None:
            return self.inputs
        return {"": InputForm.model_construct(shape=self.image_shape, pixel_range=self.pixel_range)}

    @property
    def output_forms(self) -> OutputForm | dict[str, OutputForm]:
        """The only output, or all by name."""
        if self.outputs is not None:
            return self.outputs
        return OutputForm.model_construct(task=self.task, labels=self.labels, from_logits=self.from_logits)

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks of all outputs."""
        return [form.task for form in by_name(self.output_forms).values()]

    def decode(self, outputs: Any) -> Any:
        """Return outputs of an artifact in the form of the task, such as one probability for each class."""
        return map_outputs(lambda form, values: form.decode(values), self.output_forms, outputs)


def labels_by_file(metadata: Metadata) -> Mapping[str, Sequence[str]]:
    """Return the labels of each output by the name of their file in a bundle."""
    if metadata.outputs is None:
        return {"labels.txt": metadata.labels}
    return {f"labels-{number}.txt": form.labels for number, form in enumerate(metadata.outputs.values())}


def labels_text(labels: Sequence[str]) -> str:
    """Return the content of a file of labels: one per line, and no line break at the end."""
    return "\n".join(" ".join(label.splitlines()) for label in labels)


def read_from_tflite(content: bytes) -> Metadata | None:
    """Read the metadata of a TFLite file; None if another tool made it."""
    model = tflite.Model.GetRootAsModel(content, 0)
    for index in range(model.MetadataLength()):
        entry = model.Metadata(index)
        if entry.Name() == KEY.encode():
            if not zipfile.is_zipfile(io.BytesIO(content)):
                raise InputError("the labels at its end are missing, so it has been truncated.")
            return parse_metadata(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes())
    return None


def read_from_onnx(properties: dict[str, str]) -> Metadata | None:
    """Read the metadata from the properties of an ONNX file; None if another tool made it."""
    return parse_metadata(properties[KEY]) if KEY in properties else None


def read_from_directory(path: Path) -> Metadata:
    """Read the metadata from its file in a directory that has one."""
    return parse_metadata(read_file(path / str(LAYOUTS[path.suffix].metadata), TEXT_BYTES))


def parse_metadata(text: str | bytes) -> Metadata:
    """Read metadata as it is in every kind of artifact, JSON.

    Raises:
        InputError: It is no JSON, or has other fields.
    """
    try:
        return Metadata.model_validate_json(text)
    except ValidationError as error:
        raise InputError(f"its pocketzoo metadata is damaged: {describe(error)}.") from error
