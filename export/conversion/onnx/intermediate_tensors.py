"""Access to the intermediate tensors of an ONNX graph."""

from collections.abc import Mapping

import numpy as np
import onnx
import onnxruntime

from ....core.onnxruntime_private import dequantized_name


class OnnxIntermediates:
    """A graph of one NCHW image in ONNX Runtime; implements `quantization_noise.IntermediateTensors`.

    Args:
        model: The graph; it is not changed.
        names: Tensors of the graph to read, by the name under which to return them.
    """

    def __init__(self, model: onnx.ModelProto, names: Mapping[str, str]):
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        del copy.graph.output[:]
        copy.graph.output.extend(onnx.ValueInfoProto(name=tensor) for tensor in names.values())
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(
            copy.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self.names = names

    def run(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Values of every tensor, by name."""
        (source,) = self.session.get_inputs()
        pixels = image.transpose(2, 0, 1)[None]
        if source.type == "tensor(uint8)":
            pixels = pixels.round().astype("uint8")
        return dict(zip(self.names, self.session.run(None, {source.name: pixels}), strict=True))


def paired_intermediates(
    float_model: onnx.ModelProto, integer_model: onnx.ModelProto
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
    return OnnxIntermediates(float_model, before), OnnxIntermediates(integer_model, after)
