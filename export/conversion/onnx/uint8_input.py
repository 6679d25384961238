"""ONNX graphs with uint8 pixels as input."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

PIXEL_QUANTIZATION = {"image": [{"scale": np.array(1, "float32"), "zero_point": np.array(0, "uint8")}]}
"""Scale and zero point of the pixels 0..255, for `TensorQuantOverrides`."""


def with_uint8_input(model: onnx.ModelProto) -> onnx.ModelProto:
    """Change the input of `model`, in place, from float to uint8 pixels 0..255.

    An initial quantization of the input with `PIXEL_QUANTIZATION` is removed.
    """
    graph = model.graph
    (image,) = graph.input
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in [node for node in graph.node if node.op_type == "QuantizeLinear" and node.input[0] == image.name]:
        if [numpy_helper.to_array(constants[name]) for name in node.input[1:]] == [1, 0]:
            graph.node.remove(node)
            _replace(graph, node.output[0], image.name)
    float_name = f"{image.name}_pixels"
    if _replace(graph, image.name, float_name, except_in="DequantizeLinear"):
        graph.node.insert(0, helper.make_node("Cast", [image.name], [float_name], float_name, to=TensorProto.FLOAT))
    image.type.tensor_type.elem_type = TensorProto.UINT8
    return model


def _replace(graph: onnx.GraphProto, old: str, new: str, except_in: str | None = None) -> bool:
    """Replace the input `old` of all nodes, except of operator `except_in`, by `new`; whether there were any."""
    consumers = [node for node in graph.node if old in node.input and node.op_type != except_in]
    for node in consumers:
        node.input[:] = [new if name == old else name for name in node.input]
    return bool(consumers)
