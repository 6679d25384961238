"""Float operators that the TFLite converter does not quantize, as operators that it does."""

from collections.abc import Callable

import numpy as np
from ai_edge_litert import schema_py_generated as tflite

from .editable_graph import EditableGraph

Operator = tflite.BuiltinOperator


def with_integer_kernels(content: bytes) -> bytes:
    """Replace negations and squares in a float TFLite file, as in LayerNormalization; the results are the same."""
    graph = EditableGraph(content)
    operators = []
    for operator in graph.operators:
        rewrite = REWRITES.get(graph.builtin(operator)) if graph.is_float(operator) else None
        operators += rewrite(graph, operator) if rewrite else [operator]
    if operators == graph.operators:
        return content
    graph.model.subgraphs[0].operators = operators
    return graph.content()


def _negate(graph: EditableGraph, neg: tflite.OperatorT) -> list[tflite.OperatorT]:
    """`0 - x`."""
    zero = _constant(graph, neg, 0)
    return [graph.operator(Operator.SUB, 1, (zero, *neg.inputs), neg.outputs, tflite.SubOptionsT())]


def _square(graph: EditableGraph, square: tflite.OperatorT) -> list[tflite.OperatorT]:
    """`x * x`."""
    return [graph.operator(Operator.MUL, 1, (*square.inputs, *square.inputs), square.outputs, tflite.MulOptionsT())]


def _constant(graph: EditableGraph, operator: tflite.OperatorT, value: float) -> int:
    name = graph.tensors[operator.outputs[0]].name
    return graph.add_constant(name + b"/constant_%d" % value, np.array(value, "float32"))


REWRITES: dict[int, Callable[[EditableGraph, tflite.OperatorT], list[tflite.OperatorT]]] = {
    Operator.NEG: _negate,
    Operator.SQUARE: _square,
}
