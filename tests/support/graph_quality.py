"""Superfluous or unsupported nodes that a converter leaves in a graph."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as tflite
from onnx import numpy_helper

from pocketzoo.export.tflite_schema.nodes import OPERATOR_NAMES

LINEAR = ("Conv", "ConvTranspose", "Gemm", "MatMul")
TFLITE_LINEAR = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
FUSING = (*TFLITE_LINEAR, "ADD", "SUB", "MUL")
"""Operators that can fuse an activation."""
OF_DYNAMIC_SHAPES = ("SHAPE", "PACK")


def findings(path: Path) -> list[str]:
    """Problems of an artifact, each as a short text."""
    return _of_tflite(path.read_bytes()) if path.suffix == ".tflite" else _of_onnx(onnx.load(path))


def _of_onnx(model: onnx.ModelProto) -> list[str]:
    graph = model.graph
    vectors = {tensor.name for tensor in graph.initializer if numpy_helper.to_array(tensor).size > 1}
    makers = {name: node for node in graph.node for name in node.output}
    uses = Counter(name for node in graph.node for name in node.input)
    lists = _names(graph.output)
    joined = {
        name for node in graph.node if node.op_type == "Concat" and node.output[0] in lists for name in node.input
    }
    last = {node.input[0] for node in graph.node if node.op_type == "Reshape" and node.output[0] in lists | joined}
    found = [
        node.op_type
        for node in graph.node
        if node.op_type == "BatchNormalization"
        or (node.op_type == "Transpose" and node.output[0] not in last)  # a list of the positions needs one
    ]
    found += [f"domain {node.domain} of {node.op_type}" for node in graph.node if node.domain]
    for node in graph.node:
        if node.op_type in ("Mul", "Add") and vectors.intersection(node.input):
            before = [makers[name] for name in node.input if name in makers and uses[name] == 1]
            found += [f"{node.op_type} that {maker.op_type} could do" for maker in before if maker.op_type in LINEAR]
    shaped = [*graph.input, *graph.output, *onnx.shape_inference.infer_shapes(model).graph.value_info]
    return found + [
        f"open size of {tensor.name}"
        for tensor in shaped
        if any(not side.dim_value for side in tensor.type.tensor_type.shape.dim)
    ]


def _names(tensors: Iterable[onnx.ValueInfoProto]) -> set[str]:
    return {tensor.name for tensor in tensors}


def _of_tflite(content: bytes) -> list[str]:
    model = tflite.ModelT.InitFromObj(tflite.Model.GetRootAsModel(content, 0))
    graph = model.subgraphs[0]
    kinds = {id(node): _kind(model, node) for node in graph.operators}
    makers = {index: node for node in graph.operators for index in node.outputs}
    uses = Counter(index for node in graph.operators for index in node.inputs)
    found = []
    for node in graph.operators:
        kind = kinds[id(node)]
        before = [makers[index] for index in node.inputs if index in makers and uses[index] == 1]
        idle = [kinds[id(maker)] for maker in before if not getattr(maker.builtinOptions, "fusedActivationFunction", 1)]
        if kind in ("RELU", "RELU6"):
            found += [f"{kind} that {maker} could do" for maker in idle if maker in FUSING]
        if kind in ("MUL", "ADD") and any(_is_constant_vector(model, graph.tensors[index]) for index in node.inputs):
            found += [f"{kind} that {maker} could do" for maker in idle if maker in TFLITE_LINEAR]
        if kind in ("TRANSPOSE", *OF_DYNAMIC_SHAPES) or kind.startswith(("Flex", "CUSTOM")):
            found.append(kind)
    return found + [
        f"open size of {t.name}" for t in graph.tensors if t.shapeSignature is not None and -1 in t.shapeSignature
    ]


def _kind(model: tflite.ModelT, node: tflite.OperatorT) -> str:
    code = model.operatorCodes[node.opcodeIndex]
    return (code.customCode or b"").decode() or OPERATOR_NAMES[code.builtinCode]


def _is_constant_vector(model: tflite.ModelT, tensor: tflite.TensorT) -> bool:
    return model.buffers[tensor.buffer].data is not None and np.prod(tensor.shape) > 1
