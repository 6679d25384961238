"""ONNX in integers with the ranges that a model was trained with.

In QDQ form every integer tensor is a QuantizeLinear and a DequantizeLinear, and runtimes make one integer operation of
what stands between two such pairs. tf2onnx writes them for the fake quantisation of activations, but it leaves kernels
in floats, and nothing tells a runtime that maxima, reshapes and the parts of a concatenation are on a grid too.
"""

import numpy as np
import onnx
from onnx import helper, numpy_helper

KERNEL_AXES: dict[str, int | None] = {"Conv": 0, "ConvTranspose": 1, "Gemm": None, "MatMul": None}
"""Operations whose second input is a kernel, and the axis of its channels, each with a step of its own; None for one
step."""
SAME_VALUES = ("MaxPool", "GlobalMaxPool", "Pad", "Reshape", "Flatten", "Transpose", "Slice", "Squeeze", "Unsqueeze")

Grid = tuple[str, str]
"""Names of a scale and a zero point."""


def with_integer_kernels(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same function with int8 kernels and int32 biases, and a pair of QDQ wherever a tensor is on a grid.

    Args:
        model: Of a model that was trained for integers: activations in QDQ form (uint8, fastest on x86), kernels in
            floats that are whole numbers of steps. It is not changed.

    Raises:
        ValueError: A kernel is no whole number of steps.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    _Writer(result.graph).write()
    return result


class _Writer:
    def __init__(self, graph: onnx.GraphProto):
        self.graph = graph
        self.before = list(graph.node)  # each after those that feed it
        self.nodes: list[onnx.NodeProto] = []
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self.grids: dict[str, Grid] = {
            node.output[0]: tuple(node.input[1:]) for node in self.before if node.op_type == "DequantizeLinear"
        }
        """Of the tensors that come out of a pair."""
        self.rounded = {node.input[0] for node in self.before if node.op_type == "QuantizeLinear"}

    def write(self) -> None:
        """Rewrites the graph."""
        parts = self.parts_of_concatenations()
        for node in self.before:
            if node.op_type in KERNEL_AXES and node.input[1] in self.constants:
                self.quantize_kernel(node)
            self.nodes.append(node)
            grid = parts.get(node.output[0])
            if node.op_type in SAME_VALUES and node.output[0] not in self.rounded:
                grid = grid or self.grids.get(node.input[0])
            if grid:
                self.add_pair(node, grid)
        used = {name for node in self.nodes for name in node.input}
        kept = [tensor for tensor in self.graph.initializer if tensor.name in used]
        del self.graph.node[:], self.graph.initializer[:]
        self.graph.node.extend(self.nodes)
        self.graph.initializer.extend(kept)

    def parts_of_concatenations(self) -> dict[str, Grid]:
        """Tensors that are on no grid of their own but are joined to one that is."""
        joint = {node.input[0]: tuple(node.input[1:]) for node in self.before if node.op_type == "QuantizeLinear"}
        parts: dict[str, Grid] = {}
        for node in reversed(self.before):
            grid = joint.get(node.output[0]) or parts.get(node.output[0])
            if node.op_type == "Concat" and grid:
                parts |= {name: grid for name in node.input if name not in self.grids}
        return parts

    def add_pair(self, node: onnx.NodeProto, grid: Grid) -> None:
        """Rounds what comes out of the node, which keeps its name for those that take it."""
        name = node.output[0]
        node.output[0], integers = f"{name}_float", f"{name}_integers"
        self.nodes.append(helper.make_node("QuantizeLinear", [node.output[0], *grid], [integers]))
        self.nodes.append(helper.make_node("DequantizeLinear", [integers, *grid], [name]))
        self.grids[name] = grid

    def quantize_kernel(self, node: onnx.NodeProto) -> None:
        """Writes the kernel in int8 and, where the input's step is known, the bias in int32."""
        kernel, axis = self.constants[node.input[1]], KERNEL_AXES[node.op_type]
        others = tuple(n for n in range(kernel.ndim) if n != axis)
        steps = np.abs(kernel).max(axis=others, keepdims=True, initial=1e-7) / np.float32(127)
        integers = np.round(kernel / steps)
        if np.abs(integers * steps - kernel).max() > 1e-3 * steps.max():
            raise ValueError(f"{node.name}: its kernel is no whole number of steps.")
        steps = steps.squeeze()
        node.input[1] = self.integer_constant(f"{node.name}_kernel", integers.astype("int8"), steps, axis)
        if len(node.input) > 2 and node.input[2] in self.constants and node.input[0] in self.grids:
            steps = self.constants[self.grids[node.input[0]][0]] * steps
            integers = np.round(self.constants[node.input[2]] / steps).astype("int32")
            node.input[2] = self.integer_constant(f"{node.name}_bias", integers, steps, None if axis is None else 0)

    def integer_constant(self, name: str, integers: np.ndarray, steps: np.ndarray, axis: int | None) -> str:
        """Adds integers and their step, one or one for each index along `axis`; the name of what they come to."""
        arrays = (integers, steps.astype("float32"), np.zeros(steps.shape, integers.dtype))
        names = [f"{name}_integers", f"{name}_scale", f"{name}_zero_point"]
        self.graph.initializer.extend(map(numpy_helper.from_array, arrays, names))
        attributes = {} if axis is None else {"axis": axis}
        self.nodes.append(helper.make_node("DequantizeLinear", names, [name], **attributes))
        return name
