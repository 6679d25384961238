"""From a float32 ONNX model to int8 in QDQ form."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import quantization

from ....core.onnxruntime_private import prepare_for_quantization
from ....core.output_capture import suppress_output
from ...artifact.tensors import RAW, byte_quantization
from ...sample_images import Samples
from ..export_graph import ExportGraph
from ..provenance import artifact_metadata
from ..quantization_noise import noisiest_layers
from .float_model import add_unused_inputs, with_metadata
from .intermediate_tensors import as_input, paired_intermediates
from .saturation import saturating_nodes, scales_of_kernels
from .trained_qdq import with_integer_kernels

# TensorRT needs zero points of 0, and float biases:
# https://docs.nvidia.com/deeplearning/tensorrt/latest/inference-library/work-quantized-types.html
TENSORRT = {"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False}
PROBABILITIES = ("Softmax", "Sigmoid")


def to_trained_integers(model: onnx.ModelProto, graph: ExportGraph) -> onnx.ModelProto:
    """Write a quantization-aware model with the integers it was trained for: int8 weights and uint8 activations.

    Args:
        model: The result of `to_onnx`.
        graph: Its export graph.
    """
    integers = with_uint8_images(with_integer_kernels(model), graph)
    return with_metadata(integers, artifact_metadata(graph, "onnx-int8", layout="NCHW"))


class Quantizer:
    """Quantizes to int8 weights with a scale per channel, and 8-bit activations.

    Args:
        model: The result of `to_onnx`.
        graph: Its export graph.
        calibration: Images that determine activation ranges; they run once.
        keep_float: Patterns of names of layers that stay in floating point.
        folder: Folder for intermediate files.
    """

    def __init__(
        self, model: onnx.ModelProto, graph: ExportGraph, calibration: Samples, keep_float: Sequence[str], folder: Path
    ):
        self.graph, self.calibration, self.folder = graph, calibration, folder
        self.reduced: dict[str, list[dict[str, Any]]] = {}
        """Options of the kernels whose products would saturate, by their names."""
        with suppress_output():
            prepare_for_quantization(model, folder / "prepared.onnx")
        prepared = onnx.load(folder / "prepared.onnx")
        if len(prepared.graph.input) < len(graph.specs):
            add_unused_inputs(prepared.graph, graph)
            onnx.save(prepared, folder / "prepared.onnx")
        nodes = {node.name: node.name for node in prepared.graph.node}
        self.kept = graph.scopes.locate(graph.scopes.match(keep_float), nodes)
        self.floats = _last_activations(prepared.graph) | _stacked_products(prepared.graph)

    def quantize(self, *, for_tensorrt: bool) -> onnx.ModelProto:
        """Quantize to int8 activations with zero point 0, as TensorRT needs, or to uint8, the fastest on x86.

        The latter has a uint8 input, too. The metadata lists the layers most affected.
        """
        with suppress_output():
            quantization.quantize_static(
                self.folder / "prepared.onnx",
                self.folder / "integers.onnx",
                _CalibrationReader(self.graph.names[0], self.calibration),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                activation_type=quantization.QuantType.QInt8 if for_tensorrt else quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                nodes_to_exclude=sorted(self.floats.union(*self.kept.values())),
                extra_options=self._input_quantization(symmetric=for_tensorrt) | (TENSORRT if for_tensorrt else {}),
                calibration_cache_path=self.folder / "ranges.json",
            )
            integers = onnx.load(self.folder / "integers.onnx")
            check_floats(integers.graph, self.kept)
            integers = integers if for_tensorrt else with_uint8_images(integers, self.graph)
            if not for_tensorrt and not self.reduced and self._reduce_saturating(integers):
                return self.quantize(for_tensorrt=False)
            graphs = paired_intermediates(onnx.load(self.folder / "prepared.onnx"), integers, image_ranges(self.graph))
            noise = noisiest_layers(*graphs, self.calibration, self.graph.scopes.layers_of)
        name = "onnx-int8-tensorrt" if for_tensorrt else "onnx-int8"
        fields = {"layout": "NCHW", "float_layers": tuple(sorted(self.kept)), "noise_db": noise}
        return with_metadata(integers, artifact_metadata(self.graph, name, self.calibration, **fields))

    def _reduce_saturating(self, integers: onnx.ModelProto) -> bool:
        """Let kernels whose products saturate on some processors have 7 bits, and return whether there are any."""
        ranges = image_ranges(self.graph)
        kinds = [(name, "tensor(uint8)" if name in ranges else "", ranges.get(name)) for name in self.graph.names[0]]
        feeds = (
            {name: as_input(value, kind, limits) for (name, kind, limits), value in zip(kinds, values, strict=True)}
            for values in self.calibration.values()
        )
        saturating = saturating_nodes(integers, feeds)
        nodes = {node.name: node for node in onnx.load(self.folder / "prepared.onnx").graph.node}
        for name, (channels, axis) in scales_of_kernels(integers, saturating).items():
            options: list[dict[str, Any]] = [{"reduce_range": True} for _ in range(channels)]
            options[0] |= {} if axis is None else {"axis": axis}
            self.reduced[nodes[name].input[1]] = options
        return bool(self.reduced)

    def _input_quantization(self, *, symmetric: bool) -> dict[str, Any]:
        """Scale and zero point of images, from their declared range: calibration images may all be dark."""
        overrides = {}
        for name, (low, high) in image_ranges(self.graph).items():
            scale, zero_point = (max(-low, high) / 127, 0) if symmetric else byte_quantization((low, high))
            zero = np.array(zero_point, "int8" if symmetric else "uint8")
            overrides[name] = [{"scale": np.array(scale, "float32"), "zero_point": zero}]
        return {"TensorQuantOverrides": overrides | ({} if symmetric else self.reduced)}


def _last_activations(graph: onnx.GraphProto) -> set[str]:
    """Names of the nodes that compute outputs as probabilities.

    The outputs are floats, which a rounding to 8 bits would only make coarser; tract fuses it with a softmax to
    something else.
    """
    outputs = {tensor.name for tensor in graph.output}
    return {node.name for node in graph.node if node.op_type in PROBABILITIES and node.output[0] in outputs}


def _stacked_products(graph: onnx.GraphProto) -> set[str]:
    """Names of the products with a matrix for each position, whose weights QLinearMatMul does not take per channel."""
    stacked = {tensor.name for tensor in graph.initializer if len(tensor.dims) > 2}
    return {node.name for node in graph.node if node.op_type == "MatMul" and stacked & set(node.input)}


def image_ranges(graph: ExportGraph) -> dict[str, tuple[float, float]]:
    """Return the range of each input that is an image, by its name in the file."""
    forms = zip(graph.names[0], graph.metadata.input_forms.values(), strict=True)
    return {name: form.pixel_range for name, form in forms if form.pixel_range is not None}


class _CalibrationReader(quantization.CalibrationDataReader):
    def __init__(self, names: Sequence[str], calibration: Samples):
        self._names, self._values = names, calibration.values()

    def get_next(self) -> dict[str, np.ndarray] | None:
        values = next(self._values, None)
        if values is None:
            return None
        return {name: as_input(value, "") for name, value in zip(self._names, values, strict=True)}


def check_floats(graph: onnx.GraphProto, nodes: Mapping[str, Collection[str]]) -> None:
    """Raise RuntimeError where a layer that was to stay in floating point has integer weights.

    Args:
        graph: A graph in QDQ form.
        nodes: Names of the nodes of each layer.
    """
    constants = {tensor.name for tensor in graph.initializer}
    integers = {
        node.output[0] for node in graph.node if node.op_type == "DequantizeLinear" and node.input[0] in constants
    }
    inputs = {node.name: set(node.input) for node in graph.node}
    for layer, names in nodes.items():
        for name in names:
            if name not in inputs or inputs[name] & integers:
                raise RuntimeError(f"the quantizer left {layer} in integers, in {name}.")


def with_uint8_images(model: onnx.ModelProto, graph: ExportGraph) -> onnx.ModelProto:
    """Change the images that `model` takes, in place, from float to bytes 0..255, which are the values of their range.

    An initial quantization of an input to the same bytes is removed.
    """
    for name, limits in image_ranges(graph).items():
        _take_bytes(model.graph, next(tensor for tensor in model.graph.input if tensor.name == name), limits)
    return model


def _take_bytes(graph: onnx.GraphProto, image: onnx.ValueInfoProto, pixel_range: tuple[float, float]) -> None:
    scale, zero_point = np.float32(byte_quantization(pixel_range)[0]), np.uint8(byte_quantization(pixel_range)[1])
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in [node for node in graph.node if node.op_type == "QuantizeLinear" and node.input[0] == image.name]:
        if [numpy_helper.to_array(constants[name]) for name in node.input[1:]] == [scale, zero_point]:
            graph.node.remove(node)
            _replace(graph, node.output[0], image.name)
    float_name = f"{image.name}_pixels"
    if _replace(graph, image.name, float_name, except_in="DequantizeLinear"):
        if pixel_range == RAW:
            node = helper.make_node("Cast", [image.name], [float_name], float_name, to=TensorProto.FLOAT)
        else:
            names = [f"{image.name}_scale", f"{image.name}_zero_point"]
            values = (np.array(scale), np.array(zero_point))
            graph.initializer.extend(map(numpy_helper.from_array, values, names))
            node = helper.make_node("DequantizeLinear", [image.name, *names], [float_name], float_name)
        graph.node.insert(0, node)
    image.type.tensor_type.elem_type = TensorProto.UINT8


def _replace(graph: onnx.GraphProto, old: str, new: str, except_in: str | None = None) -> bool:
    """Replace the input `old` of all nodes, except of operator `except_in`, by `new`; whether there were any."""
    consumers = [node for node in graph.node if old in node.input and node.op_type != except_in]
    for node in consumers:
        node.input[:] = [new if name == old else name for name in node.input]
    return bool(consumers)
