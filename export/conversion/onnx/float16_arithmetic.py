"""Float16 arithmetic of ONNX files, computed on CPUs.

ONNX Runtime has no float16 kernels for CPUs: it computes in float32, where nothing overflows, and only converts at the
ends. Explicit pairs of casts it keeps.
"""

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .intermediate_tensors import OnnxIntermediates

EXACT = "/float32"
"""Appended to the name of a tensor before it is rounded."""


def with_float16_rounding(half: onnx.ModelProto) -> onnx.ModelProto:
    """Return a float32 model that rounds the result of every operator to float16, as GPUs store it.

    Sums within an operator stay in float32, as in most GPU kernels. What exceeds 65,504 becomes infinite.

    Args:
        half: A model with float16 tensors; it is not changed.
    """
    model = onnx.shape_inference.infer_shapes(half)
    _round_graph(model.graph)
    del model.graph.value_info[:]
    return model


def _round_graph(graph: onnx.GraphProto) -> None:
    tensors = (*graph.input, *graph.value_info, *graph.output)
    half = {tensor.name for tensor in tensors if tensor.type.tensor_type.elem_type == TensorProto.FLOAT16}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        _widen_attributes(node)
        nodes.append(node)
        for index, name in enumerate(node.output):
            if name in half:
                node.output[index] = f"{name}{EXACT}"
                nodes.append(
                    helper.make_node("Cast", [node.output[index]], [f"{name}/float16"], to=TensorProto.FLOAT16)
                )
                nodes.append(helper.make_node("Cast", [f"{name}/float16"], [name], to=TensorProto.FLOAT))
    nodes = list(map(_copy, nodes))  # they belong to the list that is emptied
    del graph.node[:]
    graph.node.extend(nodes)
    for tensor in graph.initializer:
        _widen(tensor)
    for tensor in (*graph.input, *graph.output):
        if tensor.name in half:
            tensor.type.tensor_type.elem_type = TensorProto.FLOAT


def _copy(node: onnx.NodeProto) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    return copy


def _widen_attributes(node: onnx.NodeProto) -> None:
    """Change constants, types and inner graphs from float16 to float32."""
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.TENSOR:
            _widen(attribute.t)
        elif attribute.type == onnx.AttributeProto.GRAPH:
            _round_graph(attribute.g)
        elif node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT16:
            attribute.i = TensorProto.FLOAT


def _widen(tensor: onnx.TensorProto) -> None:
    if tensor.data_type == TensorProto.FLOAT16:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype("float32"), tensor.name))


def rounded_tensors(model: onnx.ModelProto, *values: np.ndarray) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield the name of every operator of the result of `with_float16_rounding`, its result, and that in float16.

    Args:
        model: The model.
        values: One value of each input, such as pixels `(height, width, channels)`.
    """
    exact = {name: node.name for node in model.graph.node for name in node.output if name.endswith(EXACT)}
    tensors = [name for pair in ((name, name.removesuffix(EXACT)) for name in exact) for name in pair]
    results = OnnxIntermediates(model, {name: name for name in tensors}).run(*values)
    for name, node in exact.items():
        yield node, results[name], results[name.removesuffix(EXACT)]
