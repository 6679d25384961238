"""The operators that are rewritten for each runtime."""

from collections.abc import Callable

from ai_edge_litert import schema_py_generated as tflite

from .channel_mean import rewrite_channel_mean
from .editable_graph import EditableGraph
from .grouped_convolution import split_grouped_convolution
from .hard_swish import decompose_hard_swish
from .resize_upsampling import rewrite_resize
from .softmax import split_softmax, two_class_softmax_as_sigmoid

Rewrite = Callable[[EditableGraph, tflite.OperatorT], list[tflite.OperatorT]]
"""From an operator to equivalent ones that replace it; an empty list leaves it as it is."""

REWRITES: dict[str, dict[str, Rewrite]] = {
    "ethos_u55_u65": {"MEAN": rewrite_channel_mean, "RESIZE_BILINEAR": rewrite_resize, "SOFTMAX": split_softmax},
    "ethos_u85": {"MEAN": rewrite_channel_mean, "SOFTMAX": split_softmax},
    "edge_tpu": {
        "CONV_2D": split_grouped_convolution,
        "HARD_SWISH": decompose_hard_swish,
        "MEAN": rewrite_channel_mean,
        "SOFTMAX": two_class_softmax_as_sigmoid,
    },
}
"""By the name of the runtime's operator list, as in `tflite_schema.operator_support.operator_list`, and by operator."""


def rewrite_graph(content: bytes, runtime: str) -> bytes:
    """Replace operators that a runtime does not support by equivalent ones.

    Args:
        content: An int8 TFLite file. It is returned itself where nothing is rewritten; float layers stay.
        runtime: A name in `REWRITES`.
    """
    graph = EditableGraph(content)
    rewrites = {getattr(tflite.BuiltinOperator, name): rewrite for name, rewrite in REWRITES[runtime].items()}
    operators = []
    for operator in graph.operators:
        rewrite = rewrites.get(graph.builtin(operator)) if graph.is_integer(operator) else None
        operators += (rewrite and rewrite(graph, operator)) or [operator]
    if operators == graph.operators:
        return content
    graph.model.subgraphs[0].operators = operators
    return graph.content()
