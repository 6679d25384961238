"""Hard swish as additions and multiplications."""

import numpy as np
from ai_edge_litert import schema_py_generated as tflite

from .editable_graph import EditableGraph, quantization

INT8_MAX = 127
"""Largest int8 value, with which constants are represented."""


def decompose_hard_swish(graph: EditableGraph, swish: tflite.OperatorT) -> list[tflite.OperatorT]:
    """Decompose into `x * relu6(x + 3) / 6` (Howard et al. 2019, arXiv:1905.02244)."""
    (source,), (target,) = swish.inputs, swish.outputs
    name, shape = graph.tensors[target].name, graph.tensors[source].shape
    scale, zero_point = graph.tensors[target].quantization.scale[0], graph.tensors[target].quantization.zeroPoint[0]
    three = graph.add_constant(name + b"/three", np.array(INT8_MAX, "int8"), 3 / INT8_MAX)
    sixth = graph.add_constant(name + b"/sixth", np.array(INT8_MAX, "int8"), 1 / (6 * INT8_MAX))
    gate = graph.add_map(name + b"/gate", shape, quantization(6 / 255, -128))
    gated = graph.add_map(name + b"/gated", shape, quantization(6 * scale, zero_point))
    relu6 = tflite.AddOptionsT()
    relu6.fusedActivationFunction = tflite.ActivationFunctionType.RELU6
    multiply, add = tflite.BuiltinOperator.MUL, tflite.BuiltinOperator.ADD
    return [
        graph.operator(add, 2, (source, three), [gate], relu6),
        graph.operator(multiply, 2, (source, gate), [gated], tflite.MulOptionsT()),
        graph.operator(multiply, 2, (gated, sixth), [target], tflite.MulOptionsT()),
    ]
