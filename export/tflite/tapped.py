"""A TFLite graph all of whose tensors can be read."""

import numpy as np
from ai_edge_litert import schema_py_generated as tflite
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from ..runtimes.litert import tensor_info
from ..tensors import TensorInfo


class TappedTFLite:
    """A TFLite file, run by LiteRT's built-in kernels; as `quantization_noise.Tapped`.

    Args:
        content: The file.
    """

    def __init__(self, content: bytes):
        self.interpreter = Interpreter(
            model_content=content,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        self.interpreter.allocate_tensors()
        self.image = self.interpreter.get_input_details()[0]
        computed = computed_tensors(content)
        self.names: dict[str, tuple[int, TensorInfo]] = {
            details["name"]: (details["index"], tensor_info(details))
            for details in self.interpreter.get_tensor_details()
            if details["name"] in computed
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
