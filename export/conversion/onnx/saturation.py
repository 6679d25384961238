"""Saturation of int8 products on x86 processors without VNNI.

With AVX2 or AVX-512 alone, ONNX Runtime multiplies uint8 activations and int8 weights by VPMADDUBSW, which adds the
products of two neighbors along the input channels in 16 bits. Two products of bright pixels and large weights exceed
these, up to 2 * 255 * 127 = 64,770, and are clipped to 32,767. Processors with VNNI add in 32 bits, so the error does
not show there (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html#when-and-why-do-i-need-to-try-u8u8).
Weights of 7 bits do not saturate, but are rounded twice as coarsely, on all processors: only layers that lose more by
saturation need them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.lib.stride_tricks import sliding_window_view
from onnx import helper, numpy_helper

IMAGES = 2
PRODUCTS = 2**22
"""Pairs of products that are computed of each layer and image; positions are drawn where a map has more."""
Feed = dict[str, np.ndarray]
"""Input tensors by name."""
LOW, HIGH = -(2**15), 2**15 - 1
AXES = {"Conv": 4, "Gemm": 2, "MatMul": 2}
"""Operators with such kernels, and the number of their kernels' axes."""


@dataclass(frozen=True)
class _Layer:
    node: onnx.NodeProto
    integers: str
    """Name of its uint8 input."""
    zero_point: int
    kernel: np.ndarray
    """Int8, as the node has it."""


def saturating_nodes(model: onnx.ModelProto, inputs: Iterable[Feed]) -> dict[str, float]:
    """Measure the error that saturation causes in each layer of a model in QDQ form.

    Args:
        model: The model, with a uint8 input and batch size 1.
        inputs: Input tensors of real images by name, of which a few are run.

    Returns:
        By name of a node: its root-mean-square error relative to its root-mean-square output, where the error is
        larger than that of weights of 7 bits.
    """
    layers = list(_layers(model.graph))
    squares = {layer.node.name: np.zeros(3) for layer in layers}
    for number, activations in enumerate(_activations(model, {layer.integers for layer in layers}, inputs)):
        random = np.random.default_rng(number)
        for layer in layers:
            rows, kernel = _as_products(layer, activations[layer.integers])
            wanted = max(1, PRODUCTS // kernel.size)
            rows = rows if len(rows) <= wanted else rows[random.choice(len(rows), wanted, replace=False)]
            squares[layer.node.name] += _squared_errors(rows, kernel, layer.zero_point)
    return {
        name: float(np.sqrt(clipped / total))
        for name, (clipped, coarse, total) in squares.items()
        if total and clipped > coarse
    }


def scales_of_kernels(model: onnx.ModelProto, nodes: Iterable[str]) -> dict[str, tuple[int, int | None]]:
    """The number of scales of the kernel of each node, and the kernel's axis that they go along, if there are more."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    sources = {node.output[0]: node for node in model.graph.node if node.op_type == "DequantizeLinear"}
    kernels = {node.name: sources[node.input[1]] for node in model.graph.node if node.name in set(nodes)}
    return {name: _scales(kernel, constants[kernel.input[1]]) for name, kernel in kernels.items()}


def _scales(kernel: onnx.NodeProto, scale: onnx.TensorProto) -> tuple[int, int | None]:
    return (scale.dims[0], _options(kernel).get("axis", 1)) if scale.dims else (1, None)


def _layers(graph: onnx.GraphProto) -> Iterator[_Layer]:
    """The layers of uint8 activations and constant int8 weights, except depthwise, whose kernels add in 32 bits."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    sources = {node.output[0]: node for node in graph.node if node.op_type == "DequantizeLinear"}
    for node in graph.node:
        activation, weight = (sources.get(name) for name in node.input[:2]) if len(node.input) > 1 else (None, None)
        if node.op_type not in AXES or activation is None or weight is None:
            continue
        if weight.input[0] not in constants or activation.input[0] in constants:
            continue
        kernel = numpy_helper.to_array(constants[weight.input[0]])
        zero_point = numpy_helper.to_array(constants[activation.input[2]])
        depthwise = node.op_type == "Conv" and kernel.shape[1] == 1 and _options(node).get("group", 1) > 1
        saturates = kernel.dtype == np.int8 and zero_point.dtype == np.uint8 and not depthwise
        if saturates and kernel.ndim == AXES[node.op_type]:
            yield _Layer(node, activation.input[0], int(zero_point), kernel)


def _activations(model: onnx.ModelProto, names: set[str], inputs: Iterable[Feed]) -> Iterator[Mapping[str, np.ndarray]]:
    """The uint8 tensors of that name for a few input tensors."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    read = sorted(names - {tensor.name for tensor in copy.graph.input})
    del copy.graph.output[:]
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in read)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(copy.SerializeToString(), options, providers=["CPUExecutionProvider"])
    for feed in islice(inputs, IMAGES):
        values = session.run(read, dict(feed)) if read else []
        yield dict(zip(read, values, strict=True)) | feed


def _as_products(layer: _Layer, activations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The layer as a product of matrices `(positions, inputs)` and `(inputs, outputs)`, in the order of the kernels.

    ONNX Runtime computes a convolution on maps whose channels come last, row by row of its window.
    """
    if layer.node.op_type != "Conv":
        transposed = bool(_options(layer.node).get("transB", 0))
        return activations.reshape(-1, activations.shape[-1]), layer.kernel.T if transposed else layer.kernel
    options, (outputs, channels, *window) = _options(layer.node), layer.kernel.shape
    dilations = options.get("dilations", [1, 1])
    extent = [(side - 1) * dilation + 1 for side, dilation in zip(window, dilations, strict=True)]
    top, left, bottom, right = options.get("pads", [0, 0, 0, 0])
    padded = np.pad(activations[0], ((0, 0), (top, bottom), (left, right)), constant_values=layer.zero_point)
    rows, columns = options.get("strides", [1, 1])
    patches = sliding_window_view(padded, extent, axis=(1, 2))[:, ::rows, ::columns, :: dilations[0], :: dilations[1]]
    groups = options.get("group", 1)
    patches = patches.reshape(groups, channels, *patches.shape[1:]).transpose(0, 2, 3, 4, 5, 1)
    kernel = layer.kernel.reshape(groups, outputs // groups, channels, *window).transpose(0, 3, 4, 2, 1)
    # Groups are independent: one is as good as another for a measurement.
    return patches[0].reshape(-1, kernel[0].size // (outputs // groups)), kernel[0].reshape(-1, outputs // groups)


def _squared_errors(rows: np.ndarray, kernel: np.ndarray, zero_point: int) -> np.ndarray:
    """Sums of the squares of the error by saturation, of that by weights of 7 bits, and of the exact outputs."""
    if rows.shape[1] % 2:
        rows, kernel = np.pad(rows, ((0, 0), (0, 1))), np.pad(kernel, ((0, 1), (0, 0)))
    left, right = (rows[:, start::2, None].astype("int32") for start in (0, 1))
    pairs = left * kernel[None, 0::2] + right * kernel[None, 1::2]
    error = (pairs - pairs.clip(LOW, HIGH)).sum(axis=1, dtype="float64")
    exact = pairs.sum(axis=1, dtype="float64") - zero_point * kernel.sum(axis=0, dtype="float64")
    coarse = (rows.astype("float64") - zero_point) @ (kernel - 2 * np.rint(kernel / 2))
    return np.array([np.sum(each**2) for each in (error, coarse, exact)])


def _options(node: onnx.NodeProto) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
