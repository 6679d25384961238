"""LiteRT on the CPU."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as tflite

from ...core.errors import InputError
from ...core.limits import LOOP_SECONDS, MODEL_SECONDS
from ...core.outputs import by_name
from ..artifact.artifact import Artifact
from ..artifact.certificate import certificate_in_tflite
from ..artifact.metadata import read_from_tflite
from ..artifact.tensors import TensorInfo, arrange_inputs, arrange_outputs, check_signature, only_or_named, unique_names
from .probe import check_survivable
from .tflite_facts import signature_names, tflite_facts


def open_tflite(path: Path, content: bytes, *, threads: int = 1, xnnpack: bool = True) -> Artifact:
    """Open a TFLite file.

    Args:
        path: Its path.
        content: Its content.
        threads: Number of CPU threads.
        xnnpack: Whether XNNPACK runs the operators that it supports, as by default; else the built-in kernels do.

    Raises:
        InputError: It is no TFLite file, or one with pocketzoo's metadata that does not take one image at a time.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    if content[4:8] != b"TFL3":
        raise InputError("it is not a TFLite file.")
    kernels = OpResolverType.AUTO if xnnpack else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=content, num_threads=threads, experimental_op_resolver_type=kernels)
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    taken, made = [tensor_info(details) for details in inputs], [tensor_info(details) for details in outputs]
    metadata, facts = read_from_tflite(content), None
    if metadata is not None:
        check_signature([tensor.shape for tensor in taken], len(outputs))
    else:
        taken = arrange_inputs(_named(taken, inputs, signature_names(content)[0]))
        made = arrange_outputs(_named(made, outputs, signature_names(content)[1]), taken)
        facts = tflite_facts(content, ([tensor.name for tensor in taken], [tensor.name for tensor in made]))
    image = only_or_named(taken, True)
    output = only_or_named(made, not metadata or metadata.outputs is None)
    indices = dict(zip(by_name(image), (details["index"] for details in inputs), strict=True))
    is_open = any(None in tensor.shape for tensor in taken)
    if is_open:  # such a file stores a size of one pixel, for which the model may be too deep
        for name, tensor in by_name(image).items():
            if tensor.is_image:
                interpreter.resize_tensor_input(indices[name], tensor.example_shape)
    interpreter.allocate_tensors()

    def invoke(tensors: Any) -> Any:
        named = by_name(tensors)
        if is_open:
            _resize(interpreter, {indices[name]: tensor.shape for name, tensor in named.items()})
        for name, tensor in named.items():
            interpreter.set_tensor(indices[name], tensor)
        interpreter.invoke()
        results = [interpreter.get_tensor(details["index"]) for details in outputs]
        return dict(zip(output, results, strict=True)) if isinstance(output, dict) else results[0]

    return Artifact(
        path=path,
        input=image,
        output=output,
        metadata=metadata,
        invoke=invoke,
        certificate=certificate_in_tflite(content),
        facts=facts,
    ).state()


def _named(tensors: list[TensorInfo], details: list[dict[str, Any]], names: dict[int, str]) -> list[TensorInfo]:
    """Return the tensors under their names in the signature of the file, if it has one for each."""
    if all(each["index"] in names for each in details):
        tensors = [replace(tensor, name=names[each["index"]]) for tensor, each in zip(tensors, details, strict=True)]
    return unique_names(tensors)


def _resize(interpreter: Any, shapes: dict[int, tuple[int, ...]]) -> None:
    """Change the sizes of the inputs, by their indices, where they differ."""
    present = {details["index"]: tuple(details["shape"]) for details in interpreter.get_input_details()}
    if present != shapes:
        for index, shape in shapes.items():
            interpreter.resize_tensor_input(index, shape)
        interpreter.allocate_tensors()


def open_untrusted_tflite(path: Path, content: bytes, *, threads: int = 1) -> Artifact:
    """Open a TFLite file from an unknown source: it first runs in a subprocess."""
    read_from_tflite(content)  # detects truncated files
    check_survivable(content, ".tflite", limit=LOOP_SECONDS if _has_loop(content) else MODEL_SECONDS)
    return open_tflite(path, content, threads=threads)


def _has_loop(content: bytes) -> bool:
    model = tflite.Model.GetRootAsModel(content, 0)
    codes = (model.OperatorCodes(index) for index in range(model.OperatorCodesLength()))
    return any(code.BuiltinCode() == tflite.BuiltinOperator.WHILE for code in codes)


def tensor_info(details: dict[str, Any]) -> TensorInfo:
    """Convert the details of a tensor that an interpreter reports."""
    scale, zero_point = details["quantization"]
    quantization = (scale, zero_point) if scale else (None, None)
    signature = details["shape_signature"] if len(details["shape_signature"]) else details["shape"]
    shape = tuple(None if side == -1 else int(side) for side in signature)
    dtype = np.dtype(details["dtype"])
    return TensorInfo(details["name"], shape, "bytes" if dtype.kind == "S" else dtype.name, *quantization)
