"""A TFLite graph all of whose tensors can be read."""

import numpy as np
from ai_edge_litert import schema_py_generated as tflite
from ai_edge_litert.interpreter import Interpreter

from ...artifact.tensors import TensorInfo
from ...runtimes.litert import tensor_info
from ...tflite_schema.flatbuffer import packed, unpacked


class TappedTFLite:
    """A TFLite file, run by LiteRT; as `quantization_noise.Tapped`.

    All tensors are outputs, which keep what was written though other operations work in place; and XNNPACK computes
    them, five times as fast as the built-in kernels, with which LiteRT would keep them itself.

    Args:
        content: The file, of one graph.
    """

    def __init__(self, content: bytes):
        model = unpacked(content)
        (graph,) = model.subgraphs
        graph.outputs = np.array([index for operator in graph.operators for index in operator.outputs], "int32")
        self.interpreter = Interpreter(model_content=packed(model))
        self.interpreter.allocate_tensors()
        self.image = self.interpreter.get_input_details()[0]
        self.names: dict[str, tuple[int, TensorInfo]] = {
            details["name"]: (details["index"], tensor_info(details))
            for details in self.interpreter.get_output_details()
        }

    def run(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """What stands in every tensor, by its name."""
        self.interpreter.set_tensor(self.image["index"], tensor_info(self.image).from_real(image[None]))
        self.interpreter.invoke()
        return {name: info.to_real(self.interpreter.get_tensor(index)) for name, (index, info) in self.names.items()}


def computed_tensors(content: bytes) -> list[str]:
    """The names of what the operations of a TFLite file give."""
    graph = tflite.Model.GetRootAsModel(content, 0).Subgraphs(0)
    operators = map(graph.Operators, range(graph.OperatorsLength()))
    return [graph.Tensors(index).Name().decode() for operator in operators for index in operator.OutputsAsNumpy()]
