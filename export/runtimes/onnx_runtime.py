"""ONNX Runtime."""

from pathlib import Path

import numpy as np

from ...core.errors import InputError
from ..artifact.certificate import certificate_in_onnx
from ..artifact.metadata import read_from_onnx
from ..artifact.tensors import TensorInfo, check_signature
from ..loading import Artifact

DTYPES = {"tensor(float)": "float32", "tensor(uint8)": "uint8", "tensor(int8)": "int8"}
IMAGE_CHANNELS = (1, 3, 4)
"""Of grey, coloured and transparent images."""

PROVIDER_OPTIONS = {
    "CUDAExecutionProvider": {"use_tf32": "0"},  # whose 10 bits are not float32
    "TensorrtExecutionProvider": {"trt_fp16_enable": "1", "trt_int8_enable": "1"},
}


class NoProviderError(RuntimeError):
    """What should compute is not there."""


def open_onnx(path: Path, content: bytes, *, threads: int = 1, provider: str = "CPUExecutionProvider") -> Artifact:
    """Opens an ONNX file.

    Args:
        path: Where it is from.
        content: The file.
        threads: How many CPU threads it may use.
        provider: What computes.

    Raises:
        InputError: It is no image model of one input with a batch of 1 and one output.
        NoProviderError: `provider` is not there.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    if provider not in onnxruntime.get_available_providers():
        raise NoProviderError("this ONNX Runtime is built without it: pip install onnxruntime-gpu")
    session = onnxruntime.InferenceSession(content, options, providers=[(provider, PROVIDER_OPTIONS.get(provider, {}))])
    if provider not in session.get_providers():  # which has gone over to the CPU, and said so in its log only
        raise NoProviderError("it does not start: its graphics card, its driver or its libraries are missing")
    inputs, outputs = session.get_inputs(), session.get_outputs()
    check_signature([_shape(tensor) for tensor in inputs], len(outputs))

    def invoke(tensor: np.ndarray) -> np.ndarray:
        return session.run(None, {inputs[0].name: tensor})[0]

    properties = session.get_modelmeta().custom_metadata_map
    metadata, certificate = read_from_onnx(properties), certificate_in_onnx(properties)
    layout = metadata.layout if metadata else _likely_layout(inputs[0].shape)
    return Artifact(path, _tensor(inputs[0], layout), _tensor(outputs[0], layout), metadata, invoke, certificate)


def _tensor(node, layout: str) -> TensorInfo:
    if node.type not in DTYPES:
        raise InputError(f"its tensor {node.name!r} is of type {node.type}; float, uint8 and int8 can be fed.")
    # ONNX does not say what integers stand for; a byte is taken for the pixel that it is in pictures.
    grid = (1.0, 0) if node.type == "tensor(uint8)" else (None, None)
    return TensorInfo(node.name, _shape(node), DTYPES[node.type], *grid, layout=layout)


def _shape(node) -> tuple[int | None, ...]:
    """Sizes that are open have a name there, or none."""
    return tuple(side if isinstance(side, int) else None for side in node.shape)


def _likely_layout(shape: list) -> str:
    """Of a file that does not say: the channels stand where there are few."""
    return "NHWC" if shape[3] in IMAGE_CHANNELS else "NCHW"
