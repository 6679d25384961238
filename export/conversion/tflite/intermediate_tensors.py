"""Access to the intermediate tensors of a TFLite graph."""

import numpy as np
from ai_edge_litert import schema_py_generated as tflite
from ai_edge_litert.interpreter import Interpreter

from ...artifact.tensors import TensorInfo
from ...runtimes.litert import tensor_info
from ...tflite_schema.flatbuffer import pack_model, unpack_model


class TFLiteIntermediates:
    """A TFLite file in LiteRT with all tensors as outputs; implements `quantization_noise.IntermediateTensors`.

    Outputs keep their values though other operators work in place; and XNNPACK computes them, five times as fast as
    the built-in kernels, with which LiteRT can preserve all tensors itself.

    Args:
        content: A file with one graph.
    """

    def __init__(self, content: bytes):
        model = unpack_model(content)
        (graph,) = model.subgraphs
        graph.outputs = np.array([index for operator in graph.operators for index in operator.outputs], "int32")
        self.interpreter = Interpreter(model_content=pack_model(model))
        self.interpreter.allocate_tensors()
        self.image = self.interpreter.get_input_details()[0]
        self.names: dict[str, tuple[int, TensorInfo]] = {
            details["name"]: (details["index"], tensor_info(details))
            for details in self.interpreter.get_output_details()
        }

    def run(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Real values of every tensor, by name."""
        self.interpreter.set_tensor(self.image["index"], tensor_info(self.image).from_real(image[None]))
        self.interpreter.invoke()
        return {name: info.to_real(self.interpreter.get_tensor(index)) for name, (index, info) in self.names.items()}


def computed_tensors(content: bytes) -> list[str]:
    """Names of the outputs of all operators of a TFLite file."""
    graph = tflite.Model.GetRootAsModel(content, 0).Subgraphs(0)
    operators = map(graph.Operators, range(graph.OperatorsLength()))
    return [graph.Tensors(index).Name().decode() for operator in operators for index in operator.OutputsAsNumpy()]
