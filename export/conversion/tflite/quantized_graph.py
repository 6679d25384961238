"""Checks and corrections of quantized TFLite graphs that the converter leaves out."""

from collections.abc import Collection, Iterator, Mapping, Sequence
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
WITH_KERNELS = ("MatMul", "BatchMatMulV2", "Conv2D", "DepthwiseConv2dNative", "Conv2DBackpropInput")
"""Nodes of TensorFlow with which those after them are fused."""
BOUNDED = (tflite.BuiltinOperator.LOGISTIC, tflite.BuiltinOperator.TANH)


def check_order(content: bytes, function: Any, nodes: Sequence[Any]) -> None:
    """Raise RuntimeError where inputs or outputs of a TFLite file are not in the order of the traced function.

    Args:
        content: The file.
        function: The traced function.
        nodes: The nodes of its graph. Where they round, the file calls an input after the node that rounds it, and an
            output after the nodes fused to compute it.
    """
    graph, named = unpack_model(content).subgraphs[0], {node.name: node for node in nodes}
    inputs, outputs = (
        [_node_name(tensor.name) for tensor in tensors] for tensors in (function.inputs, function.outputs)
    )
    rounded = {_node_name(node.input[0]): node.name for node in nodes if node.op.startswith("FakeQuant")}
    for indices, expected, allowed in (
        (graph.inputs, inputs, [{name, rounded.get(name)} for name in inputs]),
        (graph.outputs, outputs, [set(_fusible_before(name, named)) for name in outputs]),
    ):
        found = [graph.tensors[index].name.decode() for index in indices]
        if len(found) != len(expected) or any(map(set.isdisjoint, allowed, (name.split(";") for name in found))):
            raise RuntimeError(f"the converter made {', '.join(found)} of {', '.join(expected)}.")


def _node_name(tensor: str) -> str:
    return tensor.partition(":")[0]


def _fusible_before(name: str, nodes: Mapping[str, Any]) -> Iterator[str]:
    """Yield the name of an output's node, and those of the nodes before it up to the one with a kernel."""
    while name in nodes:
        yield name
        node = nodes[name]
        if node.op in WITH_KERNELS or not node.input:
            return
        name = _node_name(node.input[0])


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
