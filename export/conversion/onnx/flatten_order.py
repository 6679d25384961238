"""Flattening in ONNX: the order of flattened maps, moved into the kernel of the dense layer that follows."""

from collections import Counter

import numpy as np
import onnx
from onnx import numpy_helper

CHANNELS_LAST = [0, 2, 3, 1]


def fold_flattening(model: onnx.ModelProto) -> onnx.ModelProto:
    """Remove the transpositions before dense layers, without changing the function.

    Keras flattens NHWC maps and ONNX has NCHW maps, so a converter transposes every map that is flattened; permuting
    the rows of the dense kernel has the same effect at no cost.

    Args:
        model: A model with fixed shapes except for the batch size; it is not changed.
    """
    result = onnx.shape_inference.infer_shapes(model)
    graph = _Graph(result.graph)
    for node in list(result.graph.node):
        if node.op_type in ("Gemm", "MatMul"):
            graph.fold(node)
    return result


class _Graph:
    def __init__(self, graph: onnx.GraphProto):
        self.graph = graph
        self.producers = {name: node for node in graph.node for name in node.output}
        self.uses = Counter(name for node in graph.node for name in node.input)
        self.uses.update(tensor.name for tensor in graph.output)
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self.shapes = {
            tensor.name: [side.dim_value for side in tensor.type.tensor_type.shape.dim] for tensor in graph.value_info
        }

    def fold(self, dense: onnx.NodeProto) -> None:
        """Permute the rows of a dense kernel to the order of the maps before their transposition."""
        kernel = self.constants.get(dense.input[1])
        maps = self.flattened_maps(dense.input[0])
        if kernel is None or self.uses[kernel.name] > 1 or not any(transpose for _, transpose, _ in maps):
            return
        order, first = [], 0
        for reshape, transpose, size in maps:
            rows = first + np.arange(size)
            first += size
            if transpose is not None:
                channels, height, width = self.shapes[transpose.input[0]][1:]
                rows = rows.reshape(height, width, channels).transpose(2, 0, 1).ravel()
                reshape.input[0] = transpose.input[0]
                self.graph.node.remove(transpose)
            order.append(rows)
        axis = 1 if any(attribute.name == "transB" and attribute.i for attribute in dense.attribute) else 0
        weights = numpy_helper.to_array(kernel).take(np.concatenate(order), axis)
        kernel.CopyFrom(numpy_helper.from_array(weights, kernel.name))

    def flattened_maps(self, name: str) -> list[tuple[onnx.NodeProto | None, onnx.NodeProto | None, int]]:
        """The vectors that are concatenated to the input of a dense layer: for each, the Reshape, the Transpose if
        there is one, and the size; empty where one of them has other consumers or an unknown origin.
        """
        node = self.producers.get(name)
        if node is None or self.uses[name] > 1 or name not in self.shapes:
            return []
        if node.op_type == "Concat":
            parts = [self.flattened_maps(part) for part in node.input]
            return [vector for part in parts for vector in part] if all(parts) else []
        before = self.producers.get(node.input[0]) if node.op_type == "Reshape" else None
        if before is not None and self.is_channels_last(before) and len(self.shapes[name]) == 2:
            return [(node, before, self.shapes[name][1])]
        return [(node, None, self.shapes[name][-1])]

    def is_channels_last(self, node: onnx.NodeProto) -> bool:
        """Whether a node only converts one map from NCHW to NHWC, for a single consumer."""
        if node.op_type != "Transpose" or self.uses[node.output[0]] > 1:
            return False
        sides = self.shapes.get(node.input[0], [0])
        return list(node.attribute[0].ints) == CHANNELS_LAST and 0 not in sides[1:]
