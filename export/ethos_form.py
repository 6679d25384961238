"""The form of an int8 TFLite file that Ethos-U takes: the same function, in operators that run on the NPU."""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as tflite

CHANNELS = 3
"""Axis of the channels in a map."""
WEIGHT = 127
"""Of every channel in a mean, in steps of 1 / (127 * channels)."""


def for_ethos_u(content: bytes) -> bytes:
    """Writes means over the channels, which Vela leaves to the CPU, as 1x1 convolutions; else `content` as it is."""
    model = tflite.ModelT.InitFromObj(tflite.Model.GetRootAsModel(content, 0))
    graph = model.subgraphs[0]
    means = [operator for operator in graph.operators if _is_mean_of_channels(model, operator)]
    if not means:
        return content
    convolution = _operator_code(model, tflite.BuiltinOperator.CONV_2D, version=3)
    for mean in means:
        source, target = graph.tensors[mean.inputs[0]], graph.tensors[mean.outputs[0]]
        channels = int(source.shape[CHANNELS])
        step = 1 / (WEIGHT * channels)
        weights = np.full((1, 1, 1, channels), WEIGHT, "int8")
        kernel = _constant(model, target.name + b"/kernel", weights, step)
        bias = _constant(model, target.name + b"/bias", np.zeros(1, "int32"), source.quantization.scale[0] * step)
        mean.inputs, mean.opcodeIndex = [mean.inputs[0], kernel, bias], convolution
        mean.builtinOptionsType, mean.builtinOptions = tflite.BuiltinOptions.Conv2DOptions, _plain_convolution()
    builder = flatbuffers.Builder(len(content) + 4096)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _is_mean_of_channels(model: tflite.ModelT, operator: tflite.OperatorT) -> bool:
    if model.operatorCodes[operator.opcodeIndex].builtinCode != tflite.BuiltinOperator.MEAN:
        return False
    source, axes = (model.subgraphs[0].tensors[index] for index in operator.inputs)
    if (
        source.type != tflite.TensorType.INT8
        or len(source.shape) != CHANNELS + 1
        or not operator.builtinOptions.keepDims
    ):
        return False
    return np.frombuffer(bytes(model.buffers[axes.buffer].data), "<i4").tolist() in ([CHANNELS], [-1])


def _operator_code(model: tflite.ModelT, builtin: int, version: int) -> int:
    code = tflite.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = builtin
    code.version = version
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def _constant(model: tflite.ModelT, name: bytes, values: np.ndarray, scale: float) -> int:
    """Adds a quantised tensor and returns its index."""
    buffer, tensor, grid = tflite.BufferT(), tflite.TensorT(), tflite.QuantizationParametersT()
    buffer.data = values.view("uint8").ravel()
    model.buffers.append(buffer)
    grid.scale, grid.zeroPoint = np.array([scale], "float32"), np.array([0], "int64")
    tensor.name, tensor.shape, tensor.quantization = name, np.array(values.shape, "int32"), grid
    tensor.type = tflite.TensorType.INT8 if values.dtype == "int8" else tflite.TensorType.INT32
    tensor.buffer = len(model.buffers) - 1
    model.subgraphs[0].tensors.append(tensor)
    return len(model.subgraphs[0].tensors) - 1


def _plain_convolution() -> tflite.Conv2DOptionsT:
    options = tflite.Conv2DOptionsT()
    options.padding = tflite.Padding.VALID
    options.strideW = options.strideH = options.dilationWFactor = options.dilationHFactor = 1
    return options
