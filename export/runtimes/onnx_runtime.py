"""ONNX Runtime."""

from pathlib import Path

import numpy as np

from ...zoo.errors import InputError
from ..artifact import Artifact
from ..metadata import read_from_onnx
from ..tensors import TensorInfo, check_signature

DTYPES = {"tensor(float)": "float32", "tensor(uint8)": "uint8", "tensor(int8)": "int8"}


def open_onnx(path: Path, content: bytes, *, threads: int = 1, provider: str = "CPUExecutionProvider") -> Artifact:
    """Opens an ONNX file.

    Args:
        path: Where it is from.
        content: The file.
        threads: How many CPU threads it may use.
        provider: What computes.

    Raises:
        InputError: It is no image model of one input with a batch of 1 and one output.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=[provider])
    inputs, outputs = session.get_inputs(), session.get_outputs()
    check_signature([tuple(t.shape) for t in inputs], len(outputs))

    def invoke(tensor: np.ndarray) -> np.ndarray:
        return session.run(None, {inputs[0].name: tensor})[0]

    metadata = read_from_onnx(session.get_modelmeta().custom_metadata_map)
    return Artifact(path, _tensor(inputs[0]), _tensor(outputs[0]), metadata, invoke)


def _tensor(node) -> TensorInfo:
    if node.type not in DTYPES:
        raise InputError(f"its tensor {node.name!r} is of type {node.type}; float, uint8 and int8 can be fed.")
    return TensorInfo(node.name, tuple(node.shape), DTYPES[node.type])
