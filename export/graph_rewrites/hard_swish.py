"""Hard swish."""

import numpy as np
from ai_edge_litert import schema_py_generated as tflite

from .graph import EditableGraph, grid

MOST = 127
"""Of int8: a constant is so many steps."""


def spelt_out_hard_swish(graph: EditableGraph, swish: tflite.OperatorT) -> list[tflite.OperatorT]:
    """`x * relu6(x + 3) / 6` (Howard et al. 2019, arXiv:1905.02244), step by step."""
    (source,), (target,) = swish.inputs, swish.outputs
    name, shape = graph.tensors[target].name, graph.tensors[source].shape
    scale, zero_point = graph.tensors[target].quantization.scale[0], graph.tensors[target].quantization.zeroPoint[0]
    three = graph.constant(name + b"/three", np.array(MOST, "int8"), 3 / MOST)
    sixth = graph.constant(name + b"/sixth", np.array(MOST, "int8"), 1 / (6 * MOST))
    gate = graph.map(name + b"/gate", shape, grid(6 / 255, -128))
    gated = graph.map(name + b"/gated", shape, grid(6 * scale, zero_point))
    relu6 = tflite.AddOptionsT()
    relu6.fusedActivationFunction = tflite.ActivationFunctionType.RELU6
    multiply, add = tflite.BuiltinOperator.MUL, tflite.BuiltinOperator.ADD
    return [
        graph.operator(add, 2, (source, three), [gate], relu6),
        graph.operator(multiply, 2, (source, gate), [gated], tflite.MulOptionsT()),
        graph.operator(multiply, 2, (gated, sixth), [target], tflite.MulOptionsT()),
    ]
