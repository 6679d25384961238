"""What the converter does not say, or do, on the way to TFLite files in integers."""

import numpy as np
from ai_edge_litert import schema_py_generated as tflite

from ....core.errors import InputError
from ...tflite_schema.flatbuffer import packed, unpacked
from ...tflite_schema.layer_names import layers_of

BIASED = {
    tflite.BuiltinOperator.CONV_2D: 2,
    tflite.BuiltinOperator.DEPTHWISE_CONV_2D: 2,
    tflite.BuiltinOperator.FULLY_CONNECTED: 2,
    tflite.BuiltinOperator.TRANSPOSE_CONV: 3,
}
"""Operations with a bias, and which input it is."""
BRIDGES = (tflite.BuiltinOperator.QUANTIZE, tflite.BuiltinOperator.DEQUANTIZE)
"""Between floats and integers, at the input and the output; what computes in floats after them is found itself."""
BOUNDED = (tflite.BuiltinOperator.LOGISTIC, tflite.BuiltinOperator.TANH)


def check_ranges(floats: bytes) -> None:
    """Raises InputError where a tensor has an infinite range, for which there are no integers.

    The converter ends the process then, though the tensor be one that stays in floats. Softplus, Mish and SELU are
    such: an exponential overflows before it is passed over.

    Args:
        floats: A TFLite file of floats, with the ranges of its tensors.
    """
    graph = unpacked(floats).subgraphs[0]
    for tensor in graph.tensors:
        ranges = tensor.quantization
        if ranges is None or ranges.max is None:
            continue
        low, high = np.min(ranges.min), np.max(ranges.max)
        if not np.isfinite([low, high]).all():
            layers = " and ".join(layers_of(tensor.name.decode())) or "the answer"
            raise InputError(
                f"{layers} has values from {low:g} to {high:g} on the way, for which there are no integers; "
                "replace its activation, such as by ReLU or SiLU."
            )


def check_integers(content: bytes) -> None:
    """Raises RuntimeError where an operation of the TFLite file computes in floats; the converter says nothing then."""
    model = unpacked(content)
    graph = model.subgraphs[0]
    floats = {index for index, tensor in enumerate(graph.tensors) if tensor.type == tflite.TensorType.FLOAT32}
    for operator in graph.operators:
        if model.operatorCodes[operator.opcodeIndex].builtinCode in BRIDGES:
            continue
        if floats.intersection([*operator.inputs, *operator.outputs]):
            name = graph.tensors[operator.outputs[0]].name.decode()
            raise RuntimeError(f"the converter left floats in {name}, {len(floats)} tensors in all.")


def fit_for_16_bits(content: bytes) -> bytes:
    """The TFLite file as its kernels take it with 16-bit activations.

    Of a model that was trained for integers the converter makes biases of 32 bits where 64 are wanted, and grids of
    sigmoids and tangents that are not those of their kernels, 1/32768 a step from 0 on.
    """
    model = unpacked(content)
    graph = model.subgraphs[0]
    for operator in graph.operators:
        kind = model.operatorCodes[operator.opcodeIndex].builtinCode
        place = BIASED.get(kind, len(operator.inputs))
        bias = graph.tensors[operator.inputs[place]] if place < len(operator.inputs) else None
        if bias is not None and bias.type == tflite.TensorType.INT32:
            buffer = model.buffers[bias.buffer]
            buffer.data = np.frombuffer(bytes(buffer.data), "<i4").astype("<i8").view("uint8")
            bias.type = tflite.TensorType.INT64
        if kind in BOUNDED:
            grid = graph.tensors[operator.outputs[0]].quantization
            grid.scale, grid.zeroPoint = np.array([2.0**-15], "float32"), np.array([0], "int64")
    return packed(model)
