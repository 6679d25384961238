"""MNN, from ONNX or TFLite by its own converter."""

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version as package_version
from pathlib import Path

import MNN
import numpy as np


def version() -> str:
    """Of MNN."""
    return package_version("mnn")


def open_model(model: str, converted: str) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
    """Convert an ONNX or TFLite file, and open the result.

    Args:
        model: The file.
        converted: Path of the `.mnn` file that is written.
    """
    kind = "ONNX" if model.endswith(".onnx") else "TFLITE"
    command = [Path(sys.executable).with_name("mnnconvert"), "-f", kind, "--modelFile", model, "--MNNModel", converted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not Path(converted).exists():
        raise RuntimeError(f"mnnconvert ends with code {done.returncode} and writes no file")
    interpreter = MNN.Interpreter(converted)
    session = interpreter.createSession({"numThread": 1})
    order = MNN.Tensor_DimensionType_Caffe if kind == "ONNX" else MNN.Tensor_DimensionType_Tensorflow

    def predict(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        inputs = interpreter.getSessionInputAll(session)
        if len(inputs) != len(tensors):
            raise RuntimeError(f"MNN finds {len(inputs)} inputs, the file has {len(tensors)}")
        for target, values in zip(inputs.values(), tensors.values(), strict=True):
            target.copyFrom(MNN.Tensor(values.shape, target.getDataType(), values, order))
        interpreter.runSession(session)
        return {name: _read(tensor, order) for name, tensor in interpreter.getSessionOutputAll(session).items()}

    return predict


def _read(tensor: MNN.Tensor, order: int) -> np.ndarray:
    shape = tensor.getShape()
    host = MNN.Tensor(shape, tensor.getDataType(), np.zeros(shape, "float32"), order)
    tensor.copyToHostTensor(host)
    return np.array(host.getNumpyData()).reshape(shape)
