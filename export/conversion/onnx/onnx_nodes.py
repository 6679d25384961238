"""The nodes of an ONNX graph: counts by operator, and names that list all source layers."""

from collections import Counter
from pathlib import Path

import onnx

from ...tflite_schema.layer_names import layers_of
from .trained_qdq import KERNEL_AXES


def count_onnx_operators(path: Path) -> dict[str, int]:
    """Count each operator of an ONNX file by name and opset version, such as `Conv 17`."""
    model = onnx.load(path, load_external_data=False)
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    return dict(sorted(Counter(f"{node.op_type} {opsets[node.domain]}" for node in model.graph.node).items()))


def concatenation_sizes(path: Path) -> list[int]:
    """Number of inputs of each concatenation in an ONNX file."""
    return [
        len(node.input) for node in onnx.load(path, load_external_data=False).graph.node if node.op_type == "Concat"
    ]


def name_by_constants(graph: onnx.GraphProto) -> None:
    """Add the layers of its kernel and bias to the name of each convolution or matrix product.

    Where tf2onnx fuses a convolution with what follows it, it names the node after the latter or by a number.
    """
    constants = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type in KERNEL_AXES:
            own = [name for name in node.input[1:] if name in constants]
            name = ";".join([node.name, *own])
            if layers_of(name) != layers_of(node.name):
                node.name = name
