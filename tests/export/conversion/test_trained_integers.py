"""Details of quantization-aware models that converters get wrong, corrected in the files."""

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from ai_edge_litert import schema_py_generated as tflite
from onnx import TensorProto, helper, numpy_helper

from pocketzoo.export.conversion.onnx.trained_qdq import with_integer_kernels
from pocketzoo.export.conversion.tflite.quantized_graph import fix_16_bit_tensors
from pocketzoo.export.conversion.trained_integers import _with_uneven_bias
from pocketzoo.export.tflite_schema.flatbuffer import pack_model, unpack_model


@pytest.mark.parametrize("value", [1.0, 0.0, -2.0, 5.0])
def test_equal_biases_become_different_ones(value):
    layer = keras.layers.Dense(3, bias_initializer=keras.initializers.Constant(value))
    layer.build((None, 2))
    bias = _with_uneven_bias(layer).bias.numpy()
    assert len(set(bias.tolist())) == 2
    np.testing.assert_allclose(bias, value, rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize(("dead", "bias"), [(0.0, 0.5), (1e-9, 0.5), (0.0, -40.0)])
def test_bias_of_a_dead_filter_fits_into_its_integers(dead, bias):
    kernel = np.float32([[[[127.0]]], [[[dead * 127]]]]) / 64
    constants = {"scale": np.float32(0.01), "zero": np.uint8(0), "kernel": kernel, "bias": np.float32([0.25, bias])}
    graph = helper.make_graph(
        [
            helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
            helper.make_node("Conv", ["d", "kernel", "bias"], ["y"], name="conv"),
        ],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 2, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, 2, 2])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    image = {"x": np.full((1, 1, 2, 2), 0.5, "float32")}

    def outputs(each: onnx.ModelProto) -> np.ndarray:
        return onnxruntime.InferenceSession(each.SerializeToString()).run(None, image)[0]

    np.testing.assert_allclose(outputs(with_integer_kernels(model)), outputs(model), rtol=1e-4, atol=1e-5)


def test_bias_that_two_layers_share_is_widened_once():
    model = tflite.ModelT()
    model.version, model.operatorCodes = 3, [tflite.OperatorCodeT()]
    model.operatorCodes[0].builtinCode = tflite.BuiltinOperator.FULLY_CONNECTED
    model.operatorCodes[0].deprecatedBuiltinCode = tflite.BuiltinOperator.FULLY_CONNECTED
    integers = np.array([7, -3], "<i4")
    buffers = [tflite.BufferT(), tflite.BufferT()]
    buffers[1].data = integers.view("uint8")
    graph = tflite.SubGraphT()
    types = [tflite.TensorType.INT16, tflite.TensorType.INT8, tflite.TensorType.INT32, tflite.TensorType.INT32]
    graph.tensors, graph.operators = [], []
    for number, kind in enumerate(types):
        tensor = tflite.TensorT()
        tensor.name, tensor.type, tensor.shape = b"%d" % number, kind, np.array([1, 2], "int32")
        tensor.buffer = 1 if kind == tflite.TensorType.INT32 else 0
        tensor.quantization = tflite.QuantizationParametersT()
        graph.tensors.append(tensor)
    for bias in (2, 3):
        operator = tflite.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0, 1, bias], [0]
        graph.operators.append(operator)
    graph.inputs, graph.outputs = [0], [0]
    model.subgraphs, model.buffers = [graph], buffers
    fixed = unpack_model(fix_16_bit_tensors(pack_model(model)))
    assert bytes(fixed.buffers[1].data) == integers.astype("<i8").tobytes()
    assert [tensor.type for tensor in fixed.subgraphs[0].tensors[2:]] == [tflite.TensorType.INT64] * 2
