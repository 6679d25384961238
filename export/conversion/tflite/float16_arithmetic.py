"""Float16 arithmetic of TFLite files, computed on CPUs, where LiteRT computes float16 files in float32."""

from collections.abc import Iterator

import numpy as np
from ai_edge_litert import schema_py_generated as tflite

from ...graph_rewrites.editable_graph import EditableGraph
from .intermediate_tensors import TFLiteIntermediates

EXACT = b"/float32"
"""Appended to the name of a tensor before it is rounded."""
FLOAT32, FLOAT16 = tflite.TensorType.FLOAT32, tflite.TensorType.FLOAT16


def with_float16_rounding(content: bytes) -> bytes:
    """Return the file with the inputs and the results of all operators rounded to float16, as GPUs store them.

    Sums within an operator stay in float32. What exceeds 65,504 becomes infinite.

    Args:
        content: A TFLite file with float inputs and outputs.
    """
    graph = EditableGraph(content)
    operators: list[tflite.OperatorT] = []
    for index in graph.inputs:
        if graph.tensors[index].type == FLOAT32:
            rounded = graph.add_like(index, graph.tensors[index].name + b"/rounded", FLOAT32)
            for operator in graph.operators:
                operator.inputs = [rounded if each == index else each for each in operator.inputs]
            operators += _rounding(graph, index, rounded)
    for operator in graph.operators:
        operators.append(operator)
        if graph.builtin(operator) == tflite.BuiltinOperator.DEQUANTIZE:  # of a float16 constant
            continue
        operator.outputs = list(operator.outputs)
        for position, index in enumerate(operator.outputs):
            if graph.tensors[index].type == FLOAT32:
                operator.outputs[position] = exact = graph.add_like(index, graph.tensors[index].name + EXACT, FLOAT32)
                operators += _rounding(graph, exact, index)
    graph.model.subgraphs[0].operators = operators
    return graph.content()


def _rounding(graph: EditableGraph, source: int, target: int) -> list[tflite.OperatorT]:
    half = graph.add_like(source, graph.tensors[source].name + b"/float16", FLOAT16)
    return [graph.cast(source, half), graph.cast(half, target)]


def rounded_tensors(content: bytes, *values: np.ndarray) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield the name of every result that `with_float16_rounding` rounds, its exact value, and that in float16.

    Args:
        content: The file that it returned.
        values: One value of each input, such as pixels `(height, width, channels)`.
    """
    results = TFLiteIntermediates(content).run(*values)
    for name in results:
        if name.endswith(EXACT.decode()):
            rounded = name.removesuffix(EXACT.decode())
            yield rounded, results[name], results[rounded]
