"""Names of ONNX nodes that tell all layers that a node was made of."""

import onnx

from ...tflite_schema.layer_names import layers_of
from .qdq import KERNEL_AXES


def name_by_constants(graph: onnx.GraphProto) -> None:
    """Adds the layers of its kernel and bias to the name of a convolution or a matrix product.

    Where tf2onnx fuses a convolution with what follows it, it calls it by the latter, or by a number.
    """
    constants = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type in KERNEL_AXES:
            own = [name for name in node.input[1:] if name in constants]
            named = ";".join([node.name, *own])
            if layers_of(named) != layers_of(node.name):
                node.name = named
