"""LiteRT, on the CPU."""

from pathlib import Path

import numpy as np

from ...core.errors import InputError
from ..artifact.certificate import certificate_in_tflite
from ..artifact.metadata import read_from_tflite
from ..artifact.tensors import TensorInfo, check_signature, closed
from ..loading import Artifact
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
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    check_signature([tensor_info(tensor).shape for tensor in inputs], len(outputs))
    image, place = tensor_info(inputs[0]), inputs[0]["index"]
    if None in image.shape:  # a net need not have room for the single pixel that stands in its file then
        interpreter.resize_tensor_input(place, (1, *closed(image.image_shape)))
    interpreter.allocate_tensors()

    def invoke(tensor: np.ndarray) -> np.ndarray:
        if None in image.shape and tensor.shape != tuple(interpreter.get_input_details()[0]["shape"]):
            interpreter.resize_tensor_input(place, tensor.shape)
            interpreter.allocate_tensors()
        interpreter.set_tensor(place, tensor)
        interpreter.invoke()
        return interpreter.get_tensor(outputs[0]["index"])

    told = read_from_tflite(content), invoke, certificate_in_tflite(content)
    return Artifact(path, image, tensor_info(outputs[0]), *told)


def open_unknown_tflite(path: Path, content: bytes, *, threads: int = 1) -> Artifact:
    """The same of a file that anybody may have made: it is first run in a process of its own."""
    read_from_tflite(content)  # a file that was cut short is told by this
    check_survivable(content)
    return open_tflite(path, content, threads=threads)


def tensor_info(details: dict) -> TensorInfo:
    """From what an interpreter says of a tensor."""
    scale, zero_point = details["quantization"]
    quantization = (scale, zero_point) if scale else (None, None)
    signature = details["shape_signature"] if len(details["shape_signature"]) else details["shape"]
    shape = tuple(None if side == -1 else int(side) for side in signature)
    return TensorInfo(details["name"], shape, np.dtype(details["dtype"]).name, *quantization)
