"""TFLite files that take images as bytes, as cameras and image libraries give them."""

from collections.abc import Sequence

from ai_edge_litert import schema_py_generated as tflite

from ...artifact.tensors import byte_quantization, is_byte_quantization
from ...tflite_schema.flatbuffer import pack_model, unpack_model

Operator = tflite.BuiltinOperator


def with_byte_images(content: bytes, pixel_ranges: Sequence[tuple[float, float] | None]) -> bytes:
    """Return the file with images in uint8, in which the bytes 0 to 255 are the range of the pixels.

    Args:
        content: A TFLite file with float inputs.
        pixel_ranges: The range of each input that is an image; None for others.
    """
    model = unpack_model(content)
    graph = model.subgraphs[0]
    graph.inputs = list(graph.inputs)
    for place, (image, limits) in enumerate(zip(graph.inputs, pixel_ranges, strict=True)):
        if limits is None:
            continue
        readers = [operator for operator in graph.operators if image in operator.inputs]
        if any(model.operatorCodes[reader.opcodeIndex].builtinCode != Operator.QUANTIZE for reader in readers):
            graph.inputs[place] = _insert_dequantize(model, image, limits)  # the first layer computes in float
        else:
            rounded = [graph.tensors[reader.outputs[0]].quantization for reader in readers]
            _set_bytes(graph.tensors[image], limits, rounded)
    return pack_model(model)


def _set_bytes(
    tensor: tflite.TensorT, limits: tuple[float, float], rounded: Sequence[tflite.QuantizationParametersT] = ()
) -> None:
    """Make a tensor one of bytes; where the integers that follow have the same steps, they only change their sign."""
    scale, zero_point = byte_quantization(limits)
    for each in rounded:
        step, zero = float(each.scale[0]), int(each.zeroPoint[0]) + 128
        if is_byte_quantization(step, zero, limits):
            scale, zero_point = step, zero
    tensor.type = tflite.TensorType.UINT8
    tensor.quantization = tflite.QuantizationParametersT()
    tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [zero_point]


def _insert_dequantize(model: tflite.ModelT, values: int, limits: tuple[float, float]) -> int:
    """Compute a float input of bytes, and return the index of the tensor of these."""
    graph = model.subgraphs[0]
    source, image = graph.tensors[values], tflite.TensorT()
    image.name, image.shape, image.shapeSignature = source.name, source.shape, source.shapeSignature
    source.name = source.name + b"_values"
    _set_bytes(image, limits)
    graph.tensors.append(image)
    code, operator = tflite.OperatorCodeT(), tflite.OperatorT()
    code.builtinCode = code.deprecatedBuiltinCode = Operator.DEQUANTIZE
    model.operatorCodes.append(code)
    operator.opcodeIndex = len(model.operatorCodes) - 1
    operator.inputs, operator.outputs = [len(graph.tensors) - 1], [values]
    operator.builtinOptionsType = tflite.BuiltinOptions.DequantizeOptions
    operator.builtinOptions = tflite.DequantizeOptionsT()
    graph.operators.insert(0, operator)
    for signature in model.signatureDefs or []:
        for each in signature.inputs or []:
            each.tensorIndex = len(graph.tensors) - 1 if each.tensorIndex == values else each.tensorIndex
    return len(graph.tensors) - 1
