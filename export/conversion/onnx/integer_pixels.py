"""ONNX graphs that take pixels as the bytes that pictures are made of."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

IMAGE_GRID = {"image": [{"scale": np.array(1, "float32"), "zero_point": np.array(0, "uint8")}]}
"""What quantisation is to take for the pixels 0..255, as `TensorQuantOverrides`."""


def with_integer_pixels(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model`, changed to take uint8 pixels 0..255, each as it is, where it took them as floats.

    Where it begins with rounding them to `IMAGE_GRID`, nothing is left of that.
    """
    graph = model.graph
    (image,) = graph.input
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in [node for node in graph.node if node.op_type == "QuantizeLinear" and node.input[0] == image.name]:
        if [numpy_helper.to_array(constants[name]) for name in node.input[1:]] == [1, 0]:
            graph.node.remove(node)
            _replace(graph, node.output[0], image.name)
    floating = f"{image.name}_pixels"
    if _replace(graph, image.name, floating, but="DequantizeLinear"):
        graph.node.insert(0, helper.make_node("Cast", [image.name], [floating], floating, to=TensorProto.FLOAT))
    image.type.tensor_type.elem_type = TensorProto.UINT8
    return model


def _replace(graph: onnx.GraphProto, old: str, new: str, but: str | None = None) -> bool:
    """Feeds the nodes of other operators than `but` with `new` in place of `old`; whether there are any."""
    fed = [node for node in graph.node if old in node.input and node.op_type != but]
    for node in fed:
        node.input[:] = [new if name == old else name for name in node.input]
    return bool(fed)
