"""ONNX models in QDQ form with the quantization parameters of a quantization-aware model.

In QDQ form every integer tensor is a QuantizeLinear and a DequantizeLinear, and runtimes fuse what is between two such
pairs to one integer operation. tf2onnx writes them for fake-quantized activations, but it leaves kernels in floating
point, and it writes no pairs after max pooling, reshapes and other operations that keep the quantization parameters.
"""

import numpy as np
import onnx
from onnx import helper, numpy_helper

KERNEL_AXES: dict[str, int | None] = {"Conv": 0, "ConvTranspose": 1, "Gemm": None, "MatMul": None}
"""Operations whose second input is a kernel, and its axis of output channels for a scale per channel; None for one
scale."""
KEEPS_QUANTIZATION = (
    "MaxPool",
    "GlobalMaxPool",
    "Pad",
    "Reshape",
    "Flatten",
    "Transpose",
    "Slice",
    "Squeeze",
    "Unsqueeze",
)

MAX_BIAS = 2**30
"""Largest integer of a bias: the sum with the products must fit into 32 bits."""
QuantizationParameters = tuple[str, str]
"""Names of a scale and a zero point."""


def with_integer_kernels(model: onnx.ModelProto) -> onnx.ModelProto:
    """Write kernels in int8 and biases in int32, and add QDQ pairs to all quantized tensors.

    Args:
        model: A quantization-aware model with activations in QDQ form (uint8, fastest on x86) and float kernels that
            are integer multiples of a scale. It is not changed.

    Raises:
        ValueError: A kernel is not an integer multiple of a scale.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    _Writer(result.graph).write()
    return result


class _Writer:
    def __init__(self, graph: onnx.GraphProto):
        self.graph = graph
        self.original = list(graph.node)  # in topological order
        self.nodes: list[onnx.NodeProto] = []
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self.quantized: dict[str, QuantizationParameters] = {
            node.output[0]: tuple(node.input[1:]) for node in self.original if node.op_type == "DequantizeLinear"
        }
        """Parameters of the outputs of QDQ pairs."""
        self.rounded = {node.input[0] for node in self.original if node.op_type == "QuantizeLinear"}

    def write(self) -> None:
        """Rewrite the graph."""
        parts = self.concatenated_inputs()
        for node in self.original:
            if node.op_type in KERNEL_AXES and node.input[1] in self.constants:
                self.quantize_kernel(node)
            self.nodes.append(node)
            parameters = parts.get(node.output[0])
            if node.op_type in KEEPS_QUANTIZATION and node.output[0] not in self.rounded:
                parameters = parameters or self.quantized.get(node.input[0])
            if parameters:
                self.add_pair(node, parameters)
        used = {name for node in self.nodes for name in node.input}
        kept = [tensor for tensor in self.graph.initializer if tensor.name in used]
        del self.graph.node[:], self.graph.initializer[:]
        self.graph.node.extend(self.nodes)
        self.graph.initializer.extend(kept)

    def concatenated_inputs(self) -> dict[str, QuantizationParameters]:
        """Inputs of quantized concatenations without parameters of their own, and the parameters of the result."""
        joint = {node.input[0]: tuple(node.input[1:]) for node in self.original if node.op_type == "QuantizeLinear"}
        parts: dict[str, QuantizationParameters] = {}
        for node in reversed(self.original):
            parameters = joint.get(node.output[0]) or parts.get(node.output[0])
            if node.op_type == "Concat" and parameters:
                parts |= {name: parameters for name in node.input if name not in self.quantized}
        return parts

    def add_pair(self, node: onnx.NodeProto, parameters: QuantizationParameters) -> None:
        """Add a QDQ pair after a node, under the name of the node's output, so that its consumers stay unchanged."""
        name = node.output[0]
        node.output[0], integers = f"{name}_float", f"{name}_integers"
        self.nodes.append(helper.make_node("QuantizeLinear", [node.output[0], *parameters], [integers]))
        self.nodes.append(helper.make_node("DequantizeLinear", [integers, *parameters], [name]))
        self.quantized[name] = parameters

    def quantize_kernel(self, node: onnx.NodeProto) -> None:
        """Write the kernel in int8 and, where the scale of the input is known, the bias in int32."""
        kernel, axis = self.constants[node.input[1]], KERNEL_AXES[node.op_type]
        others = tuple(n for n in range(kernel.ndim) if n != axis)
        scales = np.abs(kernel).max(axis=others, keepdims=True, initial=1e-7) / np.float32(127)
        if np.abs(np.round(kernel / scales) * scales - kernel).max() > 1e-3 * scales.max():
            raise ValueError(f"{node.name}: its kernel is not an integer multiple of a scale.")
        bias, step = None, np.float32(1)
        if len(node.input) > 2 and node.input[2] in self.constants and node.input[0] in self.quantized:
            bias, step = self.constants[node.input[2]], self.constants[self.quantized[node.input[0]][0]]
            scales = self.scales_for_bias(scales, np.abs(bias) / step, axis)
        integers, scales = np.round(kernel / scales), scales.squeeze()
        node.input[1] = self.integer_constant(f"{node.name}_kernel", integers.astype("int8"), scales, axis)
        if bias is not None:
            integers = np.round(bias / (step * scales)).astype("int32")
            node.input[2] = self.integer_constant(
                f"{node.name}_bias", integers, step * scales, None if axis is None else 0
            )

    @staticmethod
    def scales_for_bias(scales: np.ndarray, bias: np.ndarray, axis: int | None) -> np.ndarray:
        """Increase the scales of a kernel where the bias, in steps of the input, would not fit into 32 bits.

        The kernel of a filter without effect, such as a pruned one, is zero or nearly so, and its scale tiny.
        """
        least = np.float32(bias / MAX_BIAS)
        if axis is None:
            return np.maximum(scales, least.max())
        return np.maximum(scales, least.reshape([-1 if n == axis else 1 for n in range(scales.ndim)]))

    def integer_constant(self, name: str, integers: np.ndarray, scales: np.ndarray, axis: int | None) -> str:
        """Add integers with their scale, or scales along `axis`; returns the name of the dequantized tensor."""
        arrays = (integers, scales.astype("float32"), np.zeros(scales.shape, integers.dtype))
        names = [f"{name}_integers", f"{name}_scale", f"{name}_zero_point"]
        self.graph.initializer.extend(map(numpy_helper.from_array, arrays, names))
        attributes = {} if axis is None else {"axis": axis}
        self.nodes.append(helper.make_node("DequantizeLinear", names, [name], **attributes))
        return name
