"""LiteRT, on the CPU."""

from pathlib import Path

import numpy as np

from ...zoo.errors import InputError
from ..artifact import Artifact
from ..metadata import read_from_tflite
from ..tensors import TensorInfo, check_signature
from .probe import check_survivable


def open_tflite(path: Path, content: bytes, *, threads: int = 1, xnnpack: bool = True) -> Artifact:
    """Opens a TFLite file.

    Args:
        path: Where it is from.
        content: The file.
        threads: How many CPU threads it may use.
        xnnpack: Whether XNNPACK takes the operations that it has, as it does by default; else the built-in kernels do.

    Raises:
        InputError: It is no image model of one input with a batch of 1 and one output.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    if content[4:8] != b"TFL3":
        raise InputError("it is no TFLite file.")
    kernels = OpResolverType.AUTO if xnnpack else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=content, num_threads=threads, experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    check_signature([tuple(t["shape"]) for t in inputs], len(outputs))

    def invoke(tensor: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(inputs[0]["index"], tensor)
        interpreter.invoke()
        return interpreter.get_tensor(outputs[0]["index"])

    return Artifact(path, tensor_info(inputs[0]), tensor_info(outputs[0]), read_from_tflite(content), invoke)


def open_unknown_tflite(path: Path, content: bytes, *, threads: int = 1) -> Artifact:
    """The same of a file that anybody may have made: it is first run in a process of its own."""
    read_from_tflite(content)  # a file that was cut short is told by this
    check_survivable(content)
    return open_tflite(path, content, threads=threads)


def tensor_info(details: dict) -> TensorInfo:
    """From what an interpreter says of a tensor."""
    scale, zero_point = details["quantization"]
    quantization = (scale, zero_point) if scale else (None, None)
    return TensorInfo(
        details["name"], tuple(map(int, details["shape"])), np.dtype(details["dtype"]).name, *quantization
    )
