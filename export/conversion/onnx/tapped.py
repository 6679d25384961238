"""ONNX graphs all of whose tensors can be read."""

from collections.abc import Mapping

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization.quant_utils import DEQUANT_OUTPUT_SUFFIX


class TappedOnnx:
    """A graph of one image with its channels first, run by ONNX Runtime; as `quantization_noise.Tapped`.

    Args:
        model: It is not changed.
        names: By name, the tensor that stands for it in the graph.
    """

    def __init__(self, model: onnx.ModelProto, names: Mapping[str, str]):
        tapped = onnx.ModelProto()
        tapped.CopyFrom(model)
        del tapped.graph.output[:]
        tapped.graph.output.extend(onnx.ValueInfoProto(name=tensor) for tensor in names.values())
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(
            tapped.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self.names = names

    def run(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """What stands in every tensor, by its name."""
        (source,) = self.session.get_inputs()
        pixels = image.transpose(2, 0, 1)[None]
        if source.type == "tensor(uint8)":
            pixels = pixels.round().astype("uint8")
        return dict(zip(self.names, self.session.run(None, {source.name: pixels}), strict=True))


def tapped_in_both(floats: onnx.ModelProto, integers: onnx.ModelProto) -> tuple[TappedOnnx, TappedOnnx]:
    """A graph, and what `onnxruntime.quantization` made of it in QDQ form, tapped where both compute the same.

    The names are those of the nodes in floats, which tell their layers. Integers are read once they are rounded.
    """
    made = {tensor for node in integers.graph.node for tensor in node.output}
    before, after = {}, {}
    for node in floats.graph.node:
        rounded = f"{node.output[0]}{DEQUANT_OUTPUT_SUFFIX}"
        if rounded in made or node.output[0] in made:
            before[node.name] = node.output[0]
            after[node.name] = rounded if rounded in made else node.output[0]
    return TappedOnnx(floats, before), TappedOnnx(integers, after)
