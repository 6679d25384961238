"""Access to the intermediate tensors of a TFLite graph."""

from collections.abc import Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as tflite
from ai_edge_litert.interpreter import Interpreter

from ...artifact.tensors import TensorInfo
from ...runtimes.litert import tensor_info
from ...tflite_schema.flatbuffer import pack_model, unpack_model

KERNEL_OPERATORS = (
    tflite.BuiltinOperator.CONV_2D,
    tflite.BuiltinOperator.CONV_3D,
    tflite.BuiltinOperator.DEPTHWISE_CONV_2D,
    tflite.BuiltinOperator.FULLY_CONNECTED,
    tflite.BuiltinOperator.TRANSPOSE_CONV,
)
KERNEL_INPUT = 1
"""Index of the kernel among the inputs of these operators."""


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
        self.inputs: dict[str, tuple[int, TensorInfo]] = {
            details["name"]: (details["index"], tensor_info(details))
            for details in self.interpreter.get_input_details()
        }
        """Index and description of each input by name, in the order of the model."""
        self.names: dict[str, tuple[int, TensorInfo]] = {
            details["name"]: (details["index"], tensor_info(details))
            for details in self.interpreter.get_output_details()
        }

    def run(self, *values: np.ndarray) -> dict[str, np.ndarray]:
        """Real values of every tensor, by name."""
        for (index, info), value in zip(self.inputs.values(), values, strict=True):
            self.interpreter.set_tensor(index, info.from_real(value[None]))
        self.interpreter.invoke()
        return {name: info.to_real(self.interpreter.get_tensor(index)) for name, (index, info) in self.names.items()}


def computed_tensors(content: bytes, outputs: Sequence[str]) -> dict[str, str]:
    """Names of the outputs of all operators of a TFLite file, and for each the names that tell its layers.

    These are its own and that of the kernel with which it is computed, as the converter names an operator after what it
    fuses to it. The outputs of the model do not have their layers' names.

    Args:
        content: The file.
        outputs: Path of the scope of the layer that computes each output.
    """
    model = unpack_model(content)
    graph = model.subgraphs[0]
    scopes = dict(zip(graph.outputs, outputs, strict=True))
    tensors: dict[str, str] = {}
    for operator in graph.operators:
        has_kernel = model.operatorCodes[operator.opcodeIndex].builtinCode in KERNEL_OPERATORS
        kernel = [graph.tensors[operator.inputs[KERNEL_INPUT]].name.decode()] if has_kernel else []
        for index in operator.outputs:
            name = graph.tensors[index].name.decode()
            own = f"{scopes[index]}/output" if index in scopes else name
            tensors[name] = ";".join([own, *kernel])
    return tensors
