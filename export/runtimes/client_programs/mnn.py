"""MNN, from ONNX or TFLite by its own converter."""

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version as package_version
from pathlib import Path
from signal import Signals

import MNN
import numpy as np

CONVERT = "import sys, _tools; _tools.mnnconvert(sys.argv)"
"""What the command mnnconvert runs, after it has let pip install a package that reports its use."""


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
    command = [sys.executable, "-I", "-c", CONVERT, "-f", kind, "--modelFile", model, "--MNNModel", converted]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode < 0:
        raise RuntimeError(f"its converter is ended by {Signals(-done.returncode).name}")
    if not Path(converted).exists():
        raise RuntimeError(f"its converter ends with code {done.returncode} and writes no file")
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
