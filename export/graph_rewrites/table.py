"""Which operators take another form on which runtime."""

from collections.abc import Callable

from ai_edge_litert import schema_py_generated as tflite

from .enlarging import convolved_enlarging
from .graph import EditableGraph
from .groups import split_groups
from .hard_swish import spelt_out_hard_swish
from .means import convolved_mean
from .softmax import sigmoid_of_two, softmax_in_strips

Rewriting = Callable[[EditableGraph, tflite.OperatorT], list[tflite.OperatorT]]
"""From an operator to those that do the same in its place; none where it may stay, or nothing stands for it."""

FORMS: dict[str, dict[str, Rewriting]] = {
    "ethos_u55_u65": {"MEAN": convolved_mean, "RESIZE_BILINEAR": convolved_enlarging, "SOFTMAX": softmax_in_strips},
    "ethos_u85": {"MEAN": convolved_mean, "SOFTMAX": softmax_in_strips},
    "edge_tpu": {
        "CONV_2D": split_groups,
        "HARD_SWISH": spelt_out_hard_swish,
        "MEAN": convolved_mean,
        "SOFTMAX": sigmoid_of_two,
    },
}
"""By the runtime's list of operators, as `accepted.operator_list` knows it, and by operator."""


def edge_form(content: bytes, runtime: str) -> bytes:
    """The same function in operators that `runtime`, a name in `FORMS`, takes.

    Args:
        content: An int8 TFLite file. Where nothing is to be rewritten, it comes back as it is; layers in floats stay.
        runtime: The name of its list of operators.
    """
    graph = EditableGraph(content)
    rewritings = {getattr(tflite.BuiltinOperator, name): rewrite for name, rewrite in FORMS[runtime].items()}
    operators = []
    for operator in graph.operators:
        rewrite = rewritings.get(graph.builtin(operator)) if graph.is_integer(operator) else None
        operators += (rewrite and rewrite(graph, operator)) or [operator]
    if operators == graph.operators:
        return content
    graph.model.subgraphs[0].operators = operators
    return graph.content()
