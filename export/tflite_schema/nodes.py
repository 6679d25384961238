"""The operators of a TFLite file, in execution order. Imports no TensorFlow."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from ai_edge_litert import schema_py_generated as tflite

from .flatbuffer import unpack_model
from .layer_names import layers_of

OPERATOR_NAMES = {code: name for name, code in vars(tflite.BuiltinOperator).items() if isinstance(code, int)}

TYPE_CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")


@dataclass(frozen=True)
class Node:
    """One operator in the graph."""

    operator: str
    """Such as `CONV_2D`, or the name of a custom operator."""
    version: int
    name: str
    """Name of its first output, from which the converter's source layers can be read."""
    inputs: tuple[tuple[int, ...], ...]
    """Input shapes, without omitted inputs."""
    output: tuple[int, ...]
    """Shape of its first output."""
    fused_activation: bool
    """Whether an activation is fused into it."""
    is_16_bit: bool
    """Whether its first input or output has 16-bit integers."""

    @property
    def grouped(self) -> bool:
        """Whether it is a grouped convolution: its kernel has fewer input channels than its input."""
        return self.operator == "CONV_2D" and self.inputs[0][-1] != self.inputs[1][-1]

    @property
    def location(self) -> str:
        """Operator and source layers, such as `CONV_2D (stage1_conv)`."""
        return f"{self.operator} ({', '.join(self.layers) or self.name})"

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of its source Keras layers, each once; empty where the converter chose another name."""
        return tuple(layers_of(self.name))


def tflite_nodes(content: bytes) -> Iterator[Node]:
    """List the operators of a TFLite file in execution order."""
    model = unpack_model(content)
    codes = tflite.Model.GetRootAsModel(content, 0)
    graph = model.subgraphs[0]
    for operator in graph.operators:
        code = codes.OperatorCodes(operator.opcodeIndex)
        tensors = [graph.tensors[index] for index in operator.inputs if index >= 0]
        output = graph.tensors[operator.outputs[0]]
        yield Node(
            operator=operator_name(code),
            version=code.Version(),
            name=output.name.decode(),
            inputs=tuple(_shape(tensor) for tensor in tensors),
            output=_shape(output),
            fused_activation=bool(getattr(operator.builtinOptions, "fusedActivationFunction", 0)),
            is_16_bit=tflite.TensorType.INT16 in {tensor.type for tensor in (*tensors[:1], output)},
        )


def float_operators(content: bytes) -> list[Node]:
    """The operators of a TFLite file that compute in floating point, without those that convert to or from integers."""
    graph = unpack_model(content).subgraphs[0]
    floats = {index for index, tensor in enumerate(graph.tensors) if tensor.type == tflite.TensorType.FLOAT32}
    return [
        node
        for node, operator in zip(tflite_nodes(content), graph.operators, strict=True)
        if node.operator not in TYPE_CONVERSIONS and floats.intersection([*operator.inputs, *operator.outputs])
    ]


def count_tflite_operators(content: bytes) -> dict[str, int]:
    """Count each operator of a TFLite file by name and version, such as `CONV_2D v3`."""
    model = tflite.Model.GetRootAsModel(content, 0)
    graph = model.Subgraphs(0)
    codes = [model.OperatorCodes(graph.Operators(index).OpcodeIndex()) for index in range(graph.OperatorsLength())]
    return dict(sorted(Counter(f"{operator_name(code)} v{code.Version()}" for code in codes).items()))


def operator_name(code: tflite.OperatorCode) -> str:
    """Name of an operator, such as `CONV_2D`, or that of a custom one."""
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())  # old files store small codes in the old field only
    custom = code.CustomCode()
    return custom.decode("utf-8", "replace") if custom else OPERATOR_NAMES.get(number, f"operator {number}")


def _shape(tensor: tflite.TensorT) -> tuple[int, ...]:
    return () if tensor.shape is None else tuple(map(int, tensor.shape))
