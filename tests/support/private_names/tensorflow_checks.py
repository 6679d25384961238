"""Checks of the private names of TensorFlow's converter."""

import numpy as np
import tensorflow as tf

from pocketzoo.core import tensorflow_private
from support.private_names.checks import check_of


def dense_converter() -> tf.lite.TFLiteConverter:
    """Of a dense layer of two units whose kernels differ by a factor of 100, with constants for weights."""
    kernel = np.stack([np.linspace(-1, 1, 64), np.linspace(-100, 100, 64)], axis=1).astype("float32")

    @tf.function(input_signature=[tf.TensorSpec((1, 64))], autograph=False)
    def serve(values):
        return {"outputs": tf.matmul(values, kernel)}

    function = serve.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    tensorflow_private.use_frozen_graph(converter, function.graph.as_graph_def(), function)
    return converter


def int8_converter() -> tf.lite.TFLiteConverter:
    converter = dense_converter()
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    converter.representative_dataset = lambda: ([np.full((1, 64), value, "float32")] for value in (-1, 1))
    return converter


def tensors_of(content: bytes) -> list[dict]:
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter(model_content=content).get_tensor_details()


@check_of("TFLiteConverter._freeze_concrete_function")
def converter_takes_a_graph_that_has_constants():
    converter = dense_converter()
    replaced = []
    graph, inputs, outputs, function = converter._freeze_concrete_function()
    tensorflow_private.use_frozen_graph(converter, graph, function)
    freeze = converter._freeze_concrete_function
    converter._freeze_concrete_function = lambda: replaced.append(True) or freeze()
    assert tuple(tensors_of(converter.convert())[0]["shape"]) == (1, 64)
    assert replaced == [True], "the converter no longer calls it"
    assert (len(inputs), len(outputs)) == (1, 1)


@check_of("tensorflow.python.framework.convert_to_constants.convert_variables_to_constants_v2")
def captured_tensors_and_variables_become_constants():
    captured, variable = tf.ones((3, 100)), tf.Variable(2.0)
    serve = tf.function(lambda values: {"sum": values @ captured * variable}, [tf.TensorSpec((1, 3))], autograph=False)
    function = serve.get_concrete_function()
    assert len(function.inputs) > 1
    frozen = tensorflow_private.freeze(function)
    assert len(frozen.inputs) == len(frozen.outputs) == 1
    np.testing.assert_array_equal(frozen(tf.ones((1, 3)))[0], np.full((1, 100), 6))


@check_of("TFLiteConverter._quantize")
def converter_returns_floats_that_it_does_not_quantize():
    converter = int8_converter()
    converter.inference_input_type = converter.inference_output_type = tf.float32
    tensorflow_private.skip_quantization(converter)
    assert {tensor["dtype"] for tensor in tensors_of(converter.convert())} == {np.float32}


@check_of("tensorflow.lite.python.convert.mlir_quantize")
def file_with_ranges_is_quantized():
    from ai_edge_litert import schema_py_generated as schema

    from pocketzoo.export.tflite_schema.flatbuffer import pack_model, unpack_model

    converter = int8_converter()
    tensorflow_private.skip_quantization(converter)
    model = unpack_model(converter.convert())
    for tensor in model.subgraphs[0].tensors:
        if tensor.type == schema.TensorType.FLOAT32:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.min, tensor.quantization.max = [-2.0], [2.0]
    ranged = pack_model(model)
    for end in (tf.int8, tf.float32):
        content = tensorflow_private.quantize_tflite(ranged, input_type=end, output_type=end, float_tensors=[])
        tensors = tensors_of(content)
        assert np.int8 in {tensor["dtype"] for tensor in tensors}
        assert tensors[0]["dtype"] == end.as_numpy_dtype
    names = [tensor.name.decode() for tensor in model.subgraphs[0].tensors]
    content = tensorflow_private.quantize_tflite(
        ranged, input_type=tf.float32, output_type=tf.float32, float_tensors=names
    )
    assert {tensor["dtype"] for tensor in tensors_of(content)} == {np.float32}


@check_of("TFLiteConverter._experimental_disable_per_channel_quantization_for_dense_layers")
def dense_kernel_has_one_scale():
    def scales(converter: tf.lite.TFLiteConverter) -> list[int]:
        kernels = [one for one in tensors_of(converter.convert()) if tuple(one["shape"]) == (2, 64)]
        return [len(kernel["quantization_parameters"]["scales"]) for kernel in kernels]

    assert scales(int8_converter()) == [2]
    converter = int8_converter()
    tensorflow_private.quantize_dense_per_tensor(converter)
    assert scales(converter) == [1]
