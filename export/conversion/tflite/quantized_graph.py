"""Checks and corrections of quantized TFLite graphs that the converter leaves out."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as tflite

from ....core.errors import InputError
from ...tflite_schema.flatbuffer import pack_model, unpack_model
from ...tflite_schema.nodes import float_operators
from ..layer_scopes import LayerScopes

BIAS_INPUTS = {
    tflite.BuiltinOperator.CONV_2D: 2,
    tflite.BuiltinOperator.DEPTHWISE_CONV_2D: 2,
    tflite.BuiltinOperator.FULLY_CONNECTED: 2,
    tflite.BuiltinOperator.TRANSPOSE_CONV: 3,
}
"""Operators with a bias, and the index of that input."""
TYPE_CONVERSIONS = (tflite.BuiltinOperator.QUANTIZE, tflite.BuiltinOperator.DEQUANTIZE)
"""They link floats and integers at the input and the output; whatever computes in floats after them is found itself."""
BOUNDED = (tflite.BuiltinOperator.LOGISTIC, tflite.BuiltinOperator.TANH)


def check_order(content: bytes, function: Any) -> None:
    """Raise RuntimeError where inputs or outputs of a TFLite file are not in the order of the traced function."""
    graph = unpack_model(content).subgraphs[0]
    for indices, tensors in ((graph.inputs, function.inputs), (graph.outputs, function.outputs)):
        found = [graph.tensors[index].name.decode() for index in indices]
        expected = [tensor.name.partition(":")[0] for tensor in tensors]
        if found != expected:
            raise RuntimeError(f"the converter made {', '.join(found)} of {', '.join(expected)}.")


def check_ranges(content: bytes, scopes: LayerScopes) -> None:
    """Raise InputError where a tensor has an infinite range, which cannot be quantized.

    The converter crashes then, even if the tensor stays in floating point. Softplus, Mish and SELU are examples: an
    exponential overflows before its result is discarded.

    Args:
        content: A float TFLite file with the ranges of its tensors.
        scopes: Name scopes of the layers.
    """
    graph = unpack_model(content).subgraphs[0]
    for tensor in graph.tensors:
        ranges = tensor.quantization
        if ranges is None or ranges.max is None:
            continue
        low, high = np.min(ranges.min), np.max(ranges.max)
        if not np.isfinite([low, high]).all():
            layers = " and ".join(scopes.layers_of(tensor.name.decode())) or "the output"
            raise InputError(
                f"{layers} has intermediate values from {low:g} to {high:g}, which cannot be quantized; replace its "
                "activation, such as by ReLU or SiLU."
            )


def check_kept(content: bytes, kept: Mapping[str, Collection[str]]) -> None:
    """Raise RuntimeError where a layer that was to stay in floating point is in integers; the converter is silent.

    Args:
        content: A quantized TFLite file.
        kept: The layers, and the names of their tensors.
    """
    model = unpack_model(content)
    graph = model.subgraphs[0]
    floats: set[int] = set()
    for operator in graph.operators:
        if model.operatorCodes[operator.opcodeIndex].builtinCode not in TYPE_CONVERSIONS:
            floats |= {index for index in operator.outputs if graph.tensors[index].type == tflite.TensorType.FLOAT32}
        elif floats.intersection(operator.inputs):  # the name of a result belongs to its rounded value
            floats |= set(operator.outputs)
    found = {graph.tensors[index].name.decode() for index in floats}
    for layer, tensors in kept.items():
        if not found.issuperset(tensors):
            raise RuntimeError(f"the converter left {layer} in integers.")


def check_integers(content: bytes, scopes: LayerScopes) -> None:
    """Raise InputError where a quantization-aware model has an operator that computes in floating point."""
    floats = float_operators(content)
    if floats:
        layers = scopes.layers_of(floats[0].name) or [scopes.output.partition("/")[2]]
        raise InputError(
            f"{' and '.join(layers)} has no integer kernel in TFLite ({floats[0].operator}); replace it (an activation "
            "by ReLU), and train again."
        )


def fix_16_bit_tensors(content: bytes) -> bytes:
    """Correct tensors of a quantization-aware model that the kernels for 16-bit activations do not accept.

    The converter writes biases with 32 bits instead of 64, and gives sigmoid and tanh a scale other than the fixed one
    of their kernels, 1/32768 with zero point 0.
    """
    model = unpack_model(content)
    graph = model.subgraphs[0]
    widened: set[int] = set()
    """Buffers, which equal biases share."""
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex].builtinCode
        index = BIAS_INPUTS.get(code, len(operator.inputs))
        bias = graph.tensors[operator.inputs[index]] if index < len(operator.inputs) else None
        if bias is not None and bias.type == tflite.TensorType.INT32:
            if bias.buffer not in widened:
                buffer = model.buffers[bias.buffer]
                buffer.data = np.frombuffer(bytes(buffer.data), "<i4").astype("<i8").view("uint8")
                widened.add(bias.buffer)
            bias.type = tflite.TensorType.INT64
        if code in BOUNDED:
            quantization = graph.tensors[operator.outputs[0]].quantization
            quantization.scale = np.array([2.0**-15], "float32")
            quantization.zeroPoint = np.array([0], "int64")
    return pack_model(model)
