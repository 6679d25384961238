"""A TFLite file opened for replacing operators."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as tflite

from ..tflite_schema.flatbuffer import pack_model, unpack_model

CHANNELS = 3
"""Axis of the channels of a map."""
NONE = -1
"""Index of an omitted optional tensor."""
TYPES = {
    "int8": tflite.TensorType.INT8,
    "int32": tflite.TensorType.INT32,
    "float32": tflite.TensorType.FLOAT32,
}


class EditableGraph:
    """The operators and tensors of a TFLite file; tensors are referenced by index."""

    def __init__(self, content: bytes):
        self.model = unpack_model(content)
        self.tensors = self.model.subgraphs[0].tensors

    @property
    def operators(self) -> list[tflite.OperatorT]:
        """The operators in execution order."""
        return self.model.subgraphs[0].operators

    @property
    def inputs(self) -> list[int]:
        """Indices of the inputs."""
        return list(self.model.subgraphs[0].inputs)

    def builtin(self, operator: tflite.OperatorT) -> int:
        """Code of an operator, of `tflite.BuiltinOperator`."""
        return self.model.operatorCodes[operator.opcodeIndex].builtinCode

    def is_integer(self, operator: tflite.OperatorT) -> bool:
        """Whether the first input of an operator is int8."""
        return self.tensors[operator.inputs[0]].type == tflite.TensorType.INT8

    def is_float(self, operator: tflite.OperatorT) -> bool:
        """Whether the first input of an operator is float32."""
        return self.tensors[operator.inputs[0]].type == tflite.TensorType.FLOAT32

    def is_map(self, index: int) -> bool:
        """Whether a tensor is `(1, height, width, channels)`."""
        return len(self.tensors[index].shape) == CHANNELS + 1

    def read_integers(self, index: int) -> list[int]:
        """Values of an int32 constant, such as axes."""
        return np.frombuffer(bytes(self.model.buffers[self.tensors[index].buffer].data), "<i4").tolist()

    def add_constant(self, name: bytes, values: np.ndarray, scale: float | None = None) -> int:
        """Add an int8, int32 or float32 constant, with `scale` where it represents real numbers; returns its index."""
        parameters = None if scale is None else quantization(scale)
        data = np.frombuffer(values.tobytes(), "uint8")
        return self._tensor(name, TYPES[values.dtype.name], values.shape, parameters, data)

    def add_map(self, name: bytes, shape: Sequence[int], parameters: tflite.QuantizationParametersT) -> int:
        """Add an int8 activation tensor; returns its index."""
        return self._tensor(name, tflite.TensorType.INT8, shape, parameters)

    def add_like(self, index: int, name: bytes, dtype: int) -> int:
        """Add an activation tensor of the shape of another one, open sizes included; returns its index."""
        like = self.tensors[index]
        added = self._tensor(name, dtype, () if like.shape is None else like.shape, None)
        self.tensors[added].shapeSignature = like.shapeSignature
        return added

    def cast(self, source: int, target: int) -> tflite.OperatorT:
        """Create an operator that converts a tensor to the type of another one."""
        options = tflite.CastOptionsT()
        options.inDataType, options.outDataType = self.tensors[source].type, self.tensors[target].type
        return self.operator(tflite.BuiltinOperator.CAST, 1, [source], [target], options)

    def add_map_parts(self, index: int, count: int, axis: int) -> list[int]:
        """Add tensors for the equal parts of a map along `axis`; returns their indices."""
        whole = self.tensors[index]
        shape = [side // count if number == axis else side for number, side in enumerate(whole.shape)]
        return [self.add_map(whole.name + b"/%d" % number, shape, whole.quantization) for number in range(count)]

    def split(self, index: int, parts: Sequence[int], axis: int) -> tflite.OperatorT:
        """Create an operator that splits a map into equal parts along `axis`."""
        options = tflite.SplitOptionsT()
        options.numSplits = len(parts)
        along = self.add_constant(self.tensors[parts[0]].name + b"/axis", np.array(axis, "int32"))
        return self.operator(tflite.BuiltinOperator.SPLIT, 2, (along, index), parts, options)

    def concatenate(self, parts: Sequence[int], index: int, axis: int) -> tflite.OperatorT:
        """Create an operator that concatenates maps along `axis`."""
        options = tflite.ConcatenationOptionsT()
        options.axis = axis
        return self.operator(tflite.BuiltinOperator.CONCATENATION, 2, parts, [index], options)

    def add_constant_parts(self, index: int, parts: int) -> list[int]:
        """Add the equal parts of a constant along its first axis, with their scales if it has one per row."""
        whole = self.tensors[index]
        shape = (whole.shape[0] // parts, *whole.shape[1:])
        data = np.split(np.asarray(self.model.buffers[whole.buffer].data, "uint8"), parts)
        scales, zero_points = whole.quantization.scale, whole.quantization.zeroPoint
        quantizations = [whole.quantization] * parts
        if len(scales) == whole.shape[0]:
            quantizations = list(map(quantization, np.split(scales, parts), np.split(zero_points, parts)))
        names = (whole.name + b"/%d" % number for number in range(parts))
        return [
            self._tensor(name, whole.type, shape, *part) for name, *part in zip(names, quantizations, data, strict=True)
        ]

    def operator(
        self, builtin: int, version: int, inputs: Sequence[int], outputs: Sequence[int], options: Any = None
    ) -> tflite.OperatorT:
        """Create an operator, which is not in the graph yet.

        Args:
            builtin: Its code, of `tflite.BuiltinOperator`.
            version: The lowest version with the needed features.
            inputs: Indices of its inputs.
            outputs: Indices of its outputs.
            options: Such as `tflite.Conv2DOptionsT`.
        """
        operator = tflite.OperatorT()
        operator.opcodeIndex = self._code(builtin, version)
        operator.inputs, operator.outputs = list(inputs), list(outputs)
        if options is not None:
            name = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType, operator.builtinOptions = getattr(tflite.BuiltinOptions, name), options
        return operator

    def content(self) -> bytes:
        """Serialize the file, without constants that no operator uses."""
        indices = {index for operator in self.operators for index in (*operator.inputs, *operator.outputs)} - {NONE}
        used = {self.tensors[index].buffer for index in indices} | {entry.buffer for entry in self.model.metadata or ()}
        for number, buffer in enumerate(self.model.buffers):
            if number not in used:
                buffer.data = None
        return pack_model(self.model)

    def _code(self, builtin: int, version: int) -> int:
        codes = self.model.operatorCodes
        for index, code in enumerate(codes):
            if (code.builtinCode, code.version) == (builtin, version):
                return index
        code = tflite.OperatorCodeT()
        code.builtinCode, code.version = builtin, version
        code.deprecatedBuiltinCode = min(builtin, 127)  # one byte; 127 represents all later codes
        codes.append(code)
        return len(codes) - 1

    def _tensor(
        self,
        name: bytes,
        dtype: int,
        shape: Sequence[int],
        parameters: tflite.QuantizationParametersT | None,
        data: np.ndarray | None = None,
    ) -> int:
        tensor = tflite.TensorT()
        tensor.name, tensor.type, tensor.shape, tensor.quantization = name, dtype, np.array(shape, "int32"), parameters
        if data is not None:
            buffer = tflite.BufferT()
            buffer.data, tensor.buffer = data, len(self.model.buffers)
            self.model.buffers.append(buffer)
        self.tensors.append(tensor)
        return len(self.tensors) - 1


def quantization(scale: float | np.ndarray, zero_point: int | np.ndarray = 0) -> tflite.QuantizationParametersT:
    """Parameters for real values `scale * (integer - zero_point)`; arrays have one entry per channel."""
    parameters = tflite.QuantizationParametersT()
    parameters.scale, parameters.zeroPoint = (
        np.atleast_1d(scale).astype("float32"),
        np.atleast_1d(zero_point).astype("int64"),
    )
    return parameters


def pointwise_convolution() -> tflite.Conv2DOptionsT:
    """Options of a convolution without padding, strides and activation."""
    options = tflite.Conv2DOptionsT()
    options.padding = tflite.Padding.VALID
    options.strideW = options.strideH = options.dilationWFactor = options.dilationHFactor = 1
    return options
