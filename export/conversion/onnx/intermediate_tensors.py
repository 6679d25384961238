"""Access to the intermediate tensors of an ONNX graph."""

from collections.abc import Mapping

import numpy as np
import onnx
import onnxruntime

from ....core.onnxruntime_private import dequantized_name
from ...artifact.tensors import RAW, byte_quantization


class OnnxIntermediates:
    """A graph with NCHW images in ONNX Runtime; implements `quantization_noise.IntermediateTensors`.

    Args:
        model: The graph; it is not changed.
        names: Tensors of the graph to read, by the name under which to return them.
        ranges: Ranges of the images that are bytes, by the name of the input.
    """

    def __init__(
        self, model: onnx.ModelProto, names: Mapping[str, str], ranges: Mapping[str, tuple[float, float]] | None = None
    ):
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        del copy.graph.output[:]
        copy.graph.output.extend(onnx.ValueInfoProto(name=tensor) for tensor in names.values())
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        self.session = onnxruntime.InferenceSession(
            copy.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self.names, self.ranges = names, ranges or {}

    def run(self, *values: np.ndarray) -> dict[str, np.ndarray]:
        """Values of every tensor, by name."""
        sources = self.session.get_inputs()
        feeds = {
            source.name: as_input(value, source.type, self.ranges.get(source.name))
            for source, value in zip(sources, values, strict=True)
        }
        return dict(zip(self.names, self.session.run(None, feeds), strict=True))


def as_input(value: np.ndarray, kind: str, limits: tuple[float, float] | None = None) -> np.ndarray:
    """Return one value of an input, an image in NHWC order, as an input tensor.

    Args:
        value: Without the batch axis.
        kind: Name of the tensor's type in ONNX Runtime.
        limits: Range that bytes stand for.
    """
    tensor = np.ascontiguousarray(value.transpose(2, 0, 1)[None] if value.ndim == 3 else value[None])
    if kind != "tensor(uint8)":
        return tensor
    scale, zero_point = byte_quantization(limits or RAW)
    return np.clip(np.round(tensor / np.float32(scale)) + zero_point, 0, 255).astype("uint8")


def paired_intermediates(
    float_model: onnx.ModelProto, integer_model: onnx.ModelProto, ranges: Mapping[str, tuple[float, float]]
) -> tuple[OnnxIntermediates, OnnxIntermediates]:
    """A graph and its QDQ form by `onnxruntime.quantization`, both with the tensors that they have in common.

    The names are those of the float nodes, which contain the source layers. Integers are read after rounding.
    """
    computed = {tensor for node in integer_model.graph.node for tensor in node.output}
    before, after = {}, {}
    for node in float_model.graph.node:
        rounded = dequantized_name(node.output[0])
        if rounded in computed or node.output[0] in computed:
            before[node.name] = node.output[0]
            after[node.name] = rounded if rounded in computed else node.output[0]
    return OnnxIntermediates(float_model, before), OnnxIntermediates(integer_model, after, ranges)
