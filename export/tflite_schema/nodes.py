"""The operators of a TFLite file, one by one. Imports no TensorFlow."""

from collections.abc import Iterator
from dataclasses import dataclass

from ai_edge_litert import schema_py_generated as tflite

from .flatbuffer import unpacked
from .layer_names import layers_of
from .operators import tflite_name


@dataclass(frozen=True)
class Node:
    """One operator where it stands in the graph."""

    operator: str
    """Such as `CONV_2D`, or a custom operator's own name."""
    version: int
    name: str
    """Of its first output, which the converter takes from the layers that it made the operator of."""
    inputs: tuple[tuple[int, ...], ...]
    """Shapes, without inputs that were left out."""
    output: tuple[int, ...]
    """Shape of its first output."""
    fused_activation: bool
    """Whether an activation is part of it."""

    @property
    def grouped(self) -> bool:
        """Whether it is a convolution whose kernel sees but a part of the channels."""
        return self.operator == "CONV_2D" and self.inputs[0][-1] != self.inputs[1][-1]

    @property
    def place(self) -> str:
        """Such as `CONV_2D (stage1_conv)`."""
        return f"{self.operator} ({', '.join(self.layers) or self.name})"

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the Keras layers that it was made of, each once; none where the converter has named it otherwise."""
        return tuple(layers_of(self.name))


def tflite_nodes(content: bytes) -> Iterator[Node]:
    """The operators of a TFLite file in the order in which they run."""
    model = unpacked(content)
    codes = tflite.Model.GetRootAsModel(content, 0)
    graph = model.subgraphs[0]
    for operator in graph.operators:
        code = codes.OperatorCodes(operator.opcodeIndex)
        tensors = [graph.tensors[index] for index in operator.inputs if index >= 0]
        output = graph.tensors[operator.outputs[0]]
        yield Node(
            operator=tflite_name(code),
            version=code.Version(),
            name=output.name.decode(),
            inputs=tuple(_shape(tensor) for tensor in tensors),
            output=_shape(output),
            fused_activation=bool(getattr(operator.builtinOptions, "fusedActivationFunction", 0)),
        )


def _shape(tensor: tflite.TensorT) -> tuple[int, ...]:
    return () if tensor.shape is None else tuple(map(int, tensor.shape))
