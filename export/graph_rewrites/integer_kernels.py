"""Float operators that the TFLite converter does not quantize, as operators that it does."""

from collections.abc import Callable

import numpy as np
from ai_edge_litert import schema_py_generated as tflite

from .editable_graph import EditableGraph

Operator = tflite.BuiltinOperator


def with_integer_kernels(content: bytes) -> bytes:
    """Replace negations, squares and ELU in a float TFLite file; the result is the same up to rounding."""
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


def _elu(graph: EditableGraph, elu: tflite.OperatorT) -> list[tflite.OperatorT]:
    """`max(x, 0) + (exp(min(x, 0)) - 1)`."""
    (source,), (target,) = elu.inputs, elu.outputs
    name, shape = graph.tensors[target].name, graph.tensors[target].shape
    positive, negative, power, curve = (
        graph.add_floats(name + suffix, shape) for suffix in (b"/positive", b"/negative", b"/power", b"/curve")
    )
    bounds = tflite.MaximumMinimumOptionsT()
    return [
        graph.operator(Operator.RELU, 1, [source], [positive]),
        graph.operator(Operator.MINIMUM, 1, (source, _constant(graph, elu, 0)), [negative], bounds),
        graph.operator(Operator.EXP, 1, [negative], [power], tflite.ExpOptionsT()),
        graph.operator(Operator.SUB, 1, (power, _constant(graph, elu, 1)), [curve], tflite.SubOptionsT()),
        graph.operator(Operator.ADD, 1, (positive, curve), [target], tflite.AddOptionsT()),
    ]


def _constant(graph: EditableGraph, operator: tflite.OperatorT, value: float) -> int:
    name = graph.tensors[operator.outputs[0]].name
    return graph.add_constant(name + b"/constant_%d" % value, np.array(value, "float32"))


REWRITES: dict[int, Callable[[EditableGraph, tflite.OperatorT], list[tflite.OperatorT]]] = {
    Operator.NEG: _negate,
    Operator.SQUARE: _square,
    Operator.ELU: _elu,
}
