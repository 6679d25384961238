"""Opening and running what was exported. Imports no TensorFlow."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..zoo.errors import InputError, first_line
from .metadata import Metadata, read_from_onnx, read_from_tflite
from .quiet import quiet

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of an artifact."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None = None
    """Real value of one integer step, for integer tensors."""
    zero_point: int | None = None
    """Integer that stands for 0."""

    def from_real(self, values: np.ndarray) -> np.ndarray:
        """Real values as this tensor takes them."""
        if self.scale is None:
            return values.astype(self.dtype)
        limits = np.iinfo(self.dtype)
        return np.clip(np.round(values / self.scale) + self.zero_point, limits.min, limits.max).astype(self.dtype)

    def to_real(self, values: np.ndarray) -> np.ndarray:
        """What this tensor holds, as real float32 values."""
        if self.scale is None:
            return values.astype("float32")
        return (values.astype("float32") - self.zero_point) * np.float32(self.scale)


@dataclass(frozen=True)
class Artifact:
    """An exported model, opened in its runtime."""

    path: Path
    input: TensorInfo
    output: TensorInfo
    metadata: Metadata | None
    """What the artifact says of itself, or None if another tool made it."""
    invoke: Callable[[np.ndarray], np.ndarray]
    """The bare runtime call: one input tensor as `input` says, one output tensor as `output` says."""

    def run(self, images: np.ndarray) -> np.ndarray:
        """Runs images, pixels 0..255 of shape `(count, height, width, channels)`, one after another.

        Returns:
            Float32 of shape `(count, outputs)`.
        """
        return np.concatenate(
            [self.output.to_real(self.invoke(self.input.from_real(np.float32(image)[None]))) for image in images]
        )


def opened(artifact_or_model: "Artifact | keras.Model") -> Artifact:
    """The artifact itself, or a Keras model to be run as one."""
    if isinstance(artifact_or_model, Artifact):
        return artifact_or_model
    from .keras_artifact import as_artifact

    return as_artifact(artifact_or_model)


def load_artifact(path: str | Path, *, threads: int = 1) -> Artifact:
    """Opens a `.tflite` file in LiteRT or an `.onnx` file in ONNX Runtime.

    Args:
        path: The file.
        threads: How many CPU threads the runtime may use.

    Raises:
        InputError: There is no such file, it is of another kind, it is damaged, or it is no image model of one input
            with a batch of 1 and one output.
    """
    path = Path(path)
    if path.suffix not in _OPENERS:
        raise InputError(f"{path} is no artifact: its name must end in {' or '.join(_OPENERS)}.")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        with quiet():
            return _OPENERS[path.suffix](path, content, threads)
    except Exception as error:  # the runtimes raise their own kinds, from ValueError to ONNX Runtime's Fail
        raise InputError(f"{path} cannot be opened as a model: {first_line(error)}") from error


def _open_tflite(path: Path, content: bytes, threads: int) -> Artifact:
    from ai_edge_litert.interpreter import Interpreter

    if content[4:8] != b"TFL3":
        raise InputError("it is no TFLite file.")
    interpreter = Interpreter(model_content=content, num_threads=threads)
    interpreter.allocate_tensors()
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    _check_signature([tuple(t["shape"]) for t in inputs], len(outputs))

    def invoke(tensor: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(inputs[0]["index"], tensor)
        interpreter.invoke()
        return interpreter.get_tensor(outputs[0]["index"])

    return Artifact(path, _tflite_tensor(inputs[0]), _tflite_tensor(outputs[0]), read_from_tflite(content), invoke)


def _tflite_tensor(details: dict) -> TensorInfo:
    scale, zero_point = details["quantization"]
    quantization = (scale, zero_point) if scale else (None, None)
    return TensorInfo(
        details["name"], tuple(map(int, details["shape"])), np.dtype(details["dtype"]).name, *quantization
    )


def _open_onnx(path: Path, content: bytes, threads: int) -> Artifact:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    inputs, outputs = session.get_inputs(), session.get_outputs()
    _check_signature([tuple(t.shape) for t in inputs], len(outputs))

    def invoke(tensor: np.ndarray) -> np.ndarray:
        return session.run(None, {inputs[0].name: tensor})[0]

    metadata = read_from_onnx(session.get_modelmeta().custom_metadata_map)
    return Artifact(path, _onnx_tensor(inputs[0]), _onnx_tensor(outputs[0]), metadata, invoke)


def _onnx_tensor(node) -> TensorInfo:
    dtype = {"tensor(float)": "float32", "tensor(uint8)": "uint8", "tensor(int8)": "int8"}.get(node.type)
    if dtype is None:
        raise InputError(f"its tensor {node.name!r} is of type {node.type}; float, uint8 and int8 can be fed.")
    return TensorInfo(node.name, tuple(node.shape), dtype)


def _check_signature(input_shapes: list[tuple], outputs: int) -> None:
    if len(input_shapes) != 1 or outputs != 1 or len(input_shapes[0]) != 4 or input_shapes[0][0] != 1:
        raise InputError(
            f"it takes inputs of {input_shapes}; one image at a time, (1, height, width, channels), is meant."
        )


_OPENERS = {".tflite": _open_tflite, ".onnx": _open_onnx}
