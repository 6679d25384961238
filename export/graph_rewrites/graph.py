"""A TFLite file that is opened to put operators in place of others."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as tflite

from ..tflite_schema.flatbuffer import packed, unpacked

CHANNELS = 3
"""Axis of the channels in a map."""
NONE = -1
"""In place of a tensor that an operator does without."""
TYPES = {"int8": tflite.TensorType.INT8, "int32": tflite.TensorType.INT32}


class EditableGraph:
    """The operators and tensors of a TFLite file, the latter by their index."""

    def __init__(self, content: bytes):
        self.model = unpacked(content)
        self.tensors = self.model.subgraphs[0].tensors

    @property
    def operators(self) -> list[tflite.OperatorT]:
        """In the order in which they run."""
        return self.model.subgraphs[0].operators

    def builtin(self, operator: tflite.OperatorT) -> int:
        """What an operator does, of `tflite.BuiltinOperator`."""
        return self.model.operatorCodes[operator.opcodeIndex].builtinCode

    def is_integer(self, operator: tflite.OperatorT) -> bool:
        """Whether what an operator takes is of 8-bit integers."""
        return self.tensors[operator.inputs[0]].type == tflite.TensorType.INT8

    def is_map(self, index: int) -> bool:
        """Whether a tensor is `(1, height, width, channels)`."""
        return len(self.tensors[index].shape) == CHANNELS + 1

    def integers(self, index: int) -> list[int]:
        """The numbers of a constant of 32-bit integers, such as axes."""
        return np.frombuffer(bytes(self.model.buffers[self.tensors[index].buffer].data), "<i4").tolist()

    def constant(self, name: bytes, values: np.ndarray, scale: float | None = None) -> int:
        """Adds a constant of int8 or int32, in steps of `scale` where it stands for real numbers."""
        of = None if scale is None else grid(scale)
        data = np.frombuffer(values.tobytes(), "uint8")
        return self._tensor(name, TYPES[values.dtype.name], values.shape, of, data)

    def map(self, name: bytes, shape: Sequence[int], of: tflite.QuantizationParametersT) -> int:
        """Adds what an operator puts out: int8 of that shape, on the grid `of`."""
        return self._tensor(name, tflite.TensorType.INT8, shape, of)

    def parts_of_map(self, index: int, count: int, axis: int) -> list[int]:
        """Adds maps for the equal parts of a map along `axis`."""
        whole = self.tensors[index]
        shape = [side // count if number == axis else side for number, side in enumerate(whole.shape)]
        return [self.map(whole.name + b"/%d" % number, shape, whole.quantization) for number in range(count)]

    def split(self, index: int, parts: Sequence[int], axis: int) -> tflite.OperatorT:
        """An operator that cuts a map into equal parts along `axis`."""
        options = tflite.SplitOptionsT()
        options.numSplits = len(parts)
        along = self.constant(self.tensors[parts[0]].name + b"/axis", np.array(axis, "int32"))
        return self.operator(tflite.BuiltinOperator.SPLIT, 2, (along, index), parts, options)

    def join(self, parts: Sequence[int], index: int, axis: int) -> tflite.OperatorT:
        """An operator that puts maps one after another along `axis`."""
        options = tflite.ConcatenationOptionsT()
        options.axis = axis
        return self.operator(tflite.BuiltinOperator.CONCATENATION, 2, parts, [index], options)

    def split_constant(self, index: int, parts: int) -> list[int]:
        """Adds the equal parts of a constant along its first axis, and of its grids if there is one for each row."""
        whole = self.tensors[index]
        shape = (whole.shape[0] // parts, *whole.shape[1:])
        data = np.split(np.asarray(self.model.buffers[whole.buffer].data, "uint8"), parts)
        scales, zero_points = whole.quantization.scale, whole.quantization.zeroPoint
        grids = [whole.quantization] * parts
        if len(scales) == whole.shape[0]:
            grids = list(map(grid, np.split(scales, parts), np.split(zero_points, parts)))
        names = (whole.name + b"/%d" % number for number in range(parts))
        return [self._tensor(name, whole.type, shape, *part) for name, *part in zip(names, grids, data, strict=True)]

    def operator(
        self, builtin: int, version: int, inputs: Sequence[int], outputs: Sequence[int], options: Any = None
    ) -> tflite.OperatorT:
        """One that is not in the graph yet.

        Args:
            builtin: What it does, of `tflite.BuiltinOperator`.
            version: The lowest in which it does so.
            inputs: Tensors.
            outputs: Tensors.
            options: Such as `tflite.Conv2DOptionsT`.
        """
        operator = tflite.OperatorT()
        operator.opcodeIndex = self._code(builtin, version)
        operator.inputs, operator.outputs = list(inputs), list(outputs)
        if options is not None:
            kind = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType, operator.builtinOptions = getattr(tflite.BuiltinOptions, kind), options
        return operator

    def content(self) -> bytes:
        """The file, without the constants of operators that are no more in it."""
        indices = {index for operator in self.operators for index in (*operator.inputs, *operator.outputs)} - {NONE}
        used = {self.tensors[index].buffer for index in indices} | {entry.buffer for entry in self.model.metadata or ()}
        for number, buffer in enumerate(self.model.buffers):
            if number not in used:
                buffer.data = None
        return packed(self.model)

    def _code(self, builtin: int, version: int) -> int:
        codes = self.model.operatorCodes
        for index, code in enumerate(codes):
            if (code.builtinCode, code.version) == (builtin, version):
                return index
        code = tflite.OperatorCodeT()
        code.builtinCode, code.version = builtin, version
        code.deprecatedBuiltinCode = min(builtin, 127)  # a byte; 127 stands for all that came later
        codes.append(code)
        return len(codes) - 1

    def _tensor(
        self,
        name: bytes,
        kind: int,
        shape: Sequence[int],
        of: tflite.QuantizationParametersT | None,
        data: np.ndarray | None = None,
    ) -> int:
        tensor = tflite.TensorT()
        tensor.name, tensor.type, tensor.shape, tensor.quantization = name, kind, np.array(shape, "int32"), of
        if data is not None:
            buffer = tflite.BufferT()
            buffer.data, tensor.buffer = data, len(self.model.buffers)
            self.model.buffers.append(buffer)
        self.tensors.append(tensor)
        return len(self.tensors) - 1


def grid(scale: float | np.ndarray, zero_point: int | np.ndarray = 0) -> tflite.QuantizationParametersT:
    """Of real numbers, `scale * (integer - zero_point)`; of arrays, one for each channel."""
    of = tflite.QuantizationParametersT()
    of.scale, of.zeroPoint = np.atleast_1d(scale).astype("float32"), np.atleast_1d(zero_point).astype("int64")
    return of


def plain_convolution() -> tflite.Conv2DOptionsT:
    """Options of a convolution without padding, strides or an activation."""
    options = tflite.Conv2DOptionsT()
    options.padding = tflite.Padding.VALID
    options.strideW = options.strideH = options.dilationWFactor = options.dilationHFactor = 1
    return options
