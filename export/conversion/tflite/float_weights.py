"""Weights that stay in floating point in a file whose others are integers; the converter has no option for it."""

from collections.abc import Collection

from ai_edge_litert import schema_py_generated as tflite

from ...tflite_schema.flatbuffer import pack_model, unpack_model

DEQUANTIZE = tflite.BuiltinOperator.DEQUANTIZE


def with_float_weights(content: bytes, float_content: bytes, tensors: Collection[str]) -> bytes:
    """Give some operators of a `tflite-dynamic` file the weights that they have in `tflite-fp32`.

    Args:
        content: The file with int8 weights.
        float_content: The file with float weights.
        tensors: Names of the outputs of the operators.

    Raises:
        RuntimeError: The converter computes one of them by other operators than in the float file.
    """
    model, source = unpack_model(content), unpack_model(float_content)
    graph, floats = model.subgraphs[0], source.subgraphs[0]
    makers = {index: operator for operator in graph.operators for index in operator.outputs}
    originals = {_output(floats, operator): operator for operator in floats.operators}
    kept = [operator for operator in graph.operators if _output(graph, operator) in tensors]
    missing = {*tensors} - {_output(graph, operator) for operator in kept}
    if missing:
        raise RuntimeError(f"the converter has no {', '.join(sorted(missing))} where weights are integers.")
    for operator in kept:
        original = originals[_output(graph, operator)]
        for index, float_index in zip(operator.inputs, original.inputs, strict=True):
            if index < 0:  # an input that is left out
                continue
            maker = makers.get(index)
            is_restored = maker is not None and model.operatorCodes[maker.opcodeIndex].builtinCode == DEQUANTIZE
            tensor = graph.tensors[index]
            if not is_restored and tensor.type != tflite.TensorType.INT8:
                continue
            if is_restored and maker in graph.operators:
                graph.operators.remove(maker)
            weights = source.buffers[floats.tensors[float_index].buffer]
            tensor.type, tensor.quantization, tensor.buffer = tflite.TensorType.FLOAT32, None, len(model.buffers)
            model.buffers.append(weights)
    return pack_model(model)


def _output(graph: tflite.SubGraphT, operator: tflite.OperatorT) -> str:
    name: bytes = graph.tensors[operator.outputs[0]].name
    return name.decode()
