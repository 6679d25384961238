"""LiteRT on the CPU."""

from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import InputError
from ..artifact.artifact import Artifact
from ..artifact.certificate import certificate_in_tflite
from ..artifact.metadata import read_from_tflite
from ..artifact.tensors import TensorInfo, check_signature, concrete_shape
from .probe import check_survivable


def open_tflite(path: Path, content: bytes, *, threads: int = 1, xnnpack: bool = True) -> Artifact:
    """Open a TFLite file.

    Args:
        path: Its path.
        content: Its content.
        threads: Number of CPU threads.
        xnnpack: Whether XNNPACK runs the operators that it supports, as by default; else the built-in kernels do.

    Raises:
        InputError: It is not an image model with one input, a batch size of 1 and one output.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    if content[4:8] != b"TFL3":
        raise InputError("it is not a TFLite file.")
    kernels = OpResolverType.AUTO if xnnpack else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=content, num_threads=threads, experimental_op_resolver_type=kernels)
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    check_signature([tensor_info(tensor).shape for tensor in inputs], len(outputs))
    image, index = tensor_info(inputs[0]), inputs[0]["index"]
    if None in image.shape:  # such a file stores a size of one pixel, for which the model may be too deep
        interpreter.resize_tensor_input(index, (1, *concrete_shape(image.image_shape)))
    interpreter.allocate_tensors()

    def invoke(tensor: np.ndarray) -> np.ndarray:
        if None in image.shape and tensor.shape != tuple(interpreter.get_input_details()[0]["shape"]):
            interpreter.resize_tensor_input(index, tensor.shape)
            interpreter.allocate_tensors()
        interpreter.set_tensor(index, tensor)
        interpreter.invoke()
        return interpreter.get_tensor(outputs[0]["index"])

    return Artifact(
        path=path,
        input=image,
        output=tensor_info(outputs[0]),
        metadata=read_from_tflite(content),
        invoke=invoke,
        certificate=certificate_in_tflite(content),
    )


def open_untrusted_tflite(path: Path, content: bytes, *, threads: int = 1) -> Artifact:
    """Open a TFLite file from an unknown source: it first runs in a subprocess."""
    read_from_tflite(content)  # detects truncated files
    check_survivable(content)
    return open_tflite(path, content, threads=threads)


def tensor_info(details: dict[str, Any]) -> TensorInfo:
    """Convert the details of a tensor that an interpreter reports."""
    scale, zero_point = details["quantization"]
    quantization = (scale, zero_point) if scale else (None, None)
    signature = details["shape_signature"] if len(details["shape_signature"]) else details["shape"]
    shape = tuple(None if side == -1 else int(side) for side in signature)
    return TensorInfo(details["name"], shape, np.dtype(details["dtype"]).name, *quantization)
