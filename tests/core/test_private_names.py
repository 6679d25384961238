"""Which release of another package broke which of the private names that pocketzoo uses.

A case that fails after an upgrade says what no longer works, with which version it did, and what depends on it.
"""

import os
import tomllib
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf
import tf2onnx
from packaging.requirements import Requirement
from packaging.version import Version

from pocketzoo.core import (
    keras_private,
    onnxruntime_private,
    tensorflow_private,
    tf2onnx_private,
    tfmot_private,
)
from pocketzoo.core.private_names import PrivateName

MODULES = (keras_private, tensorflow_private, tfmot_private, tf2onnx_private, onnxruntime_private)
NAMES = [name for module in MODULES for name in module.NAMES]
CHECKS: dict[str, Callable[[], None]] = {}
"""By private name: a function that raises if it does not do what pocketzoo needs."""


def check_of(*names: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    def register(check: Callable[[], None]) -> Callable[[], None]:
        CHECKS.update(dict.fromkeys(names, check))
        return check

    return register


@pytest.mark.parametrize("name", NAMES, ids=lambda name: f"{name.package}: {name.name}")
def test_private_name_works_as_it_did(name: PrivateName):
    try:
        CHECKS[name.name]()
    except Exception as error:
        pytest.fail(name.failure(error))


def test_every_check_belongs_to_a_name():
    assert sorted(CHECKS) == sorted(name.name for name in NAMES)


def test_failure_names_the_release_and_what_depends_on_it(monkeypatch):
    monkeypatch.delattr(keras.Layer, "_flatten_layers")
    name = next(name for name in NAMES if name.name == "Layer._flatten_layers")
    with pytest.raises(pytest.fail.Exception) as failure:
        test_private_name_works_as_it_did(name)
    message = str(failure.value)
    assert message.startswith(f"Layer._flatten_layers of keras {keras.__version__} does not work as in 3.15.1, with")
    assert "AttributeError" in message
    assert message.endswith("freezing, mixed precision, and whatever else looks at all layers of a model needs it.")


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.PACKAGE)
def test_package_is_capped_at_the_minor_release_that_was_tested(module):
    project = tomllib.loads(Path(__file__).parents[2].joinpath("pyproject.toml").read_text())["project"]
    requirements = {one.name: one.specifier for one in map(Requirement, project["dependencies"])}
    major, minor, *_ = Version(module.TESTED).release
    specifier = requirements[module.PACKAGE]
    assert module.TESTED in specifier
    assert f"{major}.{minor}.999" in specifier
    assert f"{major}.{minor + 1}.0" not in specifier


# Keras


def two_layers() -> keras.Model:
    inner = keras.Sequential([keras.layers.Conv2D(2, 3, name="conv"), keras.layers.ReLU(name="relu")], name="inner")
    image = keras.Input((8, 8, 1))
    return keras.Model(image, keras.layers.Flatten(name="flatten")(inner(image)))


def applied(optimizer: keras.optimizers.Optimizer) -> tuple[keras.optimizers.Optimizer, list[keras.Variable]]:
    """An optimizer after one batch, and its variables, whose gradients were 1."""
    variables = [keras.Variable([1.0], name="kernel"), keras.Variable([2.0], name="bias")]
    optimizer.build(variables)
    optimizer.apply([keras.ops.ones_like(variable) for variable in variables])
    return optimizer, variables


@check_of("Layer._flatten_layers")
def layers_are_listed_from_the_outside_in():
    model = two_layers()
    names = [layer.name for layer in keras_private.all_layers(model)]
    assert {"inner", "conv", "relu", "flatten"} <= set(names)
    assert names.index("inner") < names.index("conv")
    assert len(names) == len(set(names))
    assert keras_private.all_layers(model, include_self=True)[0] is model


@check_of("KerasTensor._keras_history")
def source_of_an_output_is_its_layer():
    model = two_layers()
    assert keras_private.source_operation(model.output) is model.get_layer("flatten")


@check_of("Optimizer._iterations")
def batches_are_counted_where_gradients_are_accumulated():
    optimizer, variables = applied(keras.optimizers.SGD(0.1, gradient_accumulation_steps=2))
    assert keras_private.batches_seen(optimizer) == 1
    assert int(optimizer.iterations) == 0
    optimizer.apply([keras.ops.ones_like(variable) for variable in variables])
    assert keras_private.batches_seen(optimizer) == 2


@check_of("Optimizer._trainable_variables")
def optimized_variables_are_those_it_was_built_with():
    optimizer, variables = applied(keras.optimizers.SGD(0.1))
    assert [id(one) for one in keras_private.optimized_variables(optimizer)] == [id(one) for one in variables]


@check_of("Optimizer._model_variables_moving_average")
def moving_averages_follow_the_variables():
    optimizer, _ = applied(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9))
    averages = [float(average[0]) for average in keras_private.moving_averages(optimizer)]
    np.testing.assert_allclose(averages, [0.9, 1.9], rtol=1e-6)  # after the first step an average is its variable


@check_of("Optimizer._learning_rate")
def schedule_of_an_optimizer_can_be_read():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    assert keras_private.learning_rate_schedule(keras.optimizers.SGD(schedule)) is schedule


@check_of("Optimizer._var_key")
def variables_have_different_keys():
    optimizer, variables = applied(keras.optimizers.SGD(0.1))
    assert len({keras_private.variable_key(optimizer, one) for one in variables}) == 2


@check_of("Optimizer._use_weight_decay")
def excluded_variables_have_no_weight_decay():
    optimizer, (kernel, bias) = keras.optimizers.SGD(0.1), [keras.Variable([1.0]), keras.Variable([2.0])]
    optimizer.exclude_from_weight_decay([bias])
    optimizer.build([kernel, bias])
    assert keras_private.has_weight_decay(optimizer, kernel)
    assert not keras_private.has_weight_decay(optimizer, bias)


def operations_of(function: tf.types.experimental.GenericFunction) -> set[str]:
    graph = function.get_concrete_function().graph
    return {operation.type for operation in graph.get_operations()}


@check_of("keras.src.backend.tensorflow.nn.tf")
def grouped_convolution_is_traced_without_a_call():
    convolve = keras.layers.Conv2D(4, 3, groups=2)
    convolve.build((1, 8, 8, 4))

    def trace() -> set[str]:
        return operations_of(tf.function(lambda image: convolve(image), [tf.TensorSpec((1, 8, 8, 4))], autograph=False))

    calls = {"PartitionedCall", "StatefulPartitionedCall"}
    assert calls & trace(), "Keras no longer needs the patch: remove it"
    with keras_private.trace_without_xla():
        assert not calls & trace()
    assert calls & trace()


@check_of("keras.src.backend.tensorflow.nn.hard_sigmoid")
def hard_swish_is_traced_with_another_hard_sigmoid():
    values = tf.constant([-4.0, -1.0, 0.0, 2.0, 5.0])
    with keras_private.replace_hard_sigmoid(lambda x: x * 0 + 10):
        np.testing.assert_array_equal(keras.activations.hard_sigmoid(values), [10] * 5)
        np.testing.assert_array_equal(keras.activations.hard_swish(values), 10 * values)
    np.testing.assert_allclose(keras.activations.hard_sigmoid(values), [0, 1 / 3, 0.5, 5 / 6, 1], rtol=1e-6)


# TensorFlow's converter


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


# TF-MOT


@check_of("pruning_schedule.ConstantSparsity")
def constant_schedule_begins_at_its_step():
    schedule = tfmot_private.constant_sparsity(0.5, begin=3)
    np.testing.assert_allclose([schedule(3), schedule(100)], 0.5)


@check_of("pruning_schedule.PolynomialDecay")
def polynomial_schedule_is_cubic():
    schedule = tfmot_private.polynomial_decay(0.2, 0.8, begin=10, end=20, frequency=1)
    np.testing.assert_allclose([schedule(step) for step in (10, 15, 20)], [0.2, 0.8 - 0.6 / 8, 0.8], rtol=1e-6)


@check_of("pruning_utils.factorized_pool")
def blocks_are_pooled():
    matrix = np.float32([[1, -2, 3], [-4, 5, 6]])
    np.testing.assert_array_equal(tfmot_private.block_magnitudes(matrix, (2, 1), "max"), [[4, 5, 6]])
    np.testing.assert_array_equal(tfmot_private.block_magnitudes(matrix, (1, 2), "avg"), [[1.5, 3], [4.5, 6]])


@check_of(
    "pruning_utils.weights_rearrange",
    "pruning_utils.generate_m_by_n_mask",
    "pruning_utils.m_by_n_sparsity_mask_prepare",
)
def largest_of_each_n_are_kept():
    kernel = np.float32([1, -4, 3, 2, 8, 5, 6, -7]).reshape(8, 1)
    mask = tfmot_private.m_by_n_mask(kernel, (2, 4))
    np.testing.assert_array_equal(mask[:, 0], [False, True, True, False, True, False, False, True])
    assert tfmot_private.m_by_n_mask(np.random.default_rng(0).normal(size=(3, 3, 8, 2)), (2, 4)).sum() == 72


def check_centroids(initialization: str) -> None:
    kernel = np.random.default_rng(0).normal(size=(10, 10)).astype("float32")
    centroids = tfmot_private.initial_centroids(kernel, 5, initialization, with_zero=True)
    assert (centroids.shape, centroids.dtype) == ((5,), np.float32)
    assert 0 in centroids
    assert np.all(np.diff(centroids) > 0)
    assert kernel.min() - 0.02 <= centroids[0] <= centroids[-1] <= kernel.max() + 0.02


@check_of("clustering_centroids.KmeansPlusPlusCentroidsInitialisation")
def kmeans_centroids_are_found():
    check_centroids("kmeans++")


@check_of("clustering_centroids.LinearCentroidsInitialisation")
def linear_centroids_are_found():
    check_centroids("linear")


@check_of("clustering_centroids.DensityBasedCentroidsInitialisation")
def density_centroids_are_found():
    check_centroids("density")


# tf2onnx


def convert_hard_sigmoid() -> onnx.ModelProto:
    """A convolution without bias followed by the addition of a scalar, with the channels first."""
    kernel = np.random.default_rng(0).normal(size=(3, 3, 3, 4)).astype("float32")

    @tf.function(input_signature=[tf.TensorSpec((1, 8, 8, 3), name="image")], autograph=False)
    def serve(image):
        return {"map": tf.nn.relu6(tf.nn.conv2d(image, kernel, 1, "VALID") + 3.0) / 6.0}

    function = serve.get_concrete_function()
    (image,), (result,) = function.inputs, function.outputs
    model, _ = tf2onnx.convert.from_graph_def(
        function.graph.as_graph_def(),
        input_names=[image.name],
        output_names=[result.name],
        opset=17,
        inputs_as_nchw=[image.name],
        outputs_as_nchw=[result.name],
    )
    return model


def transposes(model: onnx.ModelProto) -> int:
    return sum(node.op_type == "Transpose" for node in model.graph.node)


@check_of("TransposeOptimizer._add_handler", "TransposeOptimizer._handle_node_having_branches")
def transposes_are_moved_past_the_addition_of_a_scalar():
    assert transposes(convert_hard_sigmoid()), "tf2onnx no longer needs the patch: remove it"
    with tf2onnx_private.optimize_in_place():
        assert transposes(convert_hard_sigmoid()) == 0


@check_of("TF2ONNX_CATCH_ERRORS")
def errors_of_optimizers_are_raised():
    from tf2onnx.optimizer.transpose_optimizer import TransposeOptimizer

    def fail(*_):
        raise RuntimeError("raised by the optimizer")

    assert "TF2ONNX_CATCH_ERRORS" not in os.environ
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransposeOptimizer, "_optimize", fail)
        convert_hard_sigmoid()
        with tf2onnx_private.optimize_in_place(), pytest.raises(RuntimeError, match="raised by the optimizer"):
            convert_hard_sigmoid()


@check_of("tf2onnx.graph.Node.update_proto")
def constants_are_not_written_after_each_step():
    written = []
    original = tf2onnx_private._update_proto

    def count(node, *storage):
        written.append(node.type)
        original(node, *storage)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf2onnx_private, "_update_proto", count)
        with tf2onnx_private.optimize_in_place():
            model = convert_hard_sigmoid()
    assert "Conv" in written
    assert "Const" not in written
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (outputs,) = session.run(None, {session.get_inputs()[0].name: np.ones((1, 3, 8, 8), "float32")})
    assert outputs.std() > 0


# ONNX Runtime


def small_onnx() -> onnx.ModelProto:
    weights = onnx.numpy_helper.from_array(np.eye(4, dtype="float32"), "weights")
    nodes = [
        onnx.helper.make_node("MatMul", ["values", "weights"], ["hidden"], "first"),
        onnx.helper.make_node("Relu", ["hidden"], ["outputs"], "second"),
    ]
    ends = [onnx.helper.make_tensor_value_info(name, 1, (1, 4)) for name in ("values", "outputs")]
    graph = onnx.helper.make_graph(nodes, "small", ends[:1], ends[1:], [weights])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=10)


@check_of(
    "onnxruntime.transformers.float16.convert_float_to_float16",
    "onnxruntime.transformers.onnx_model.OnnxModel.topological_sort",
)
def half_precision_keeps_inputs_and_outputs():
    half = onnxruntime_private.to_float16(small_onnx())
    onnx.checker.check_model(half, full_check=True)  # which includes the order of the nodes
    assert half.graph.initializer[0].data_type == onnx.TensorProto.FLOAT16
    assert {end.type.tensor_type.elem_type for end in (*half.graph.input, *half.graph.output)} == {1}
    assert {node.op_type for node in half.graph.node} == {"Cast", "MatMul", "Relu"}


@check_of(
    "onnxruntime.quantization.shape_inference.quant_pre_process",
    "onnxruntime.quantization.quant_utils.DEQUANT_OUTPUT_SUFFIX",
)
def quantizer_names_what_it_has_rounded():
    from tempfile import TemporaryDirectory

    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):
        def __init__(self):
            self.left = iter(np.random.default_rng(0).normal(size=(4, 1, 4)).astype("float32"))

        def get_next(self):
            values = next(self.left, None)
            return None if values is None else {"values": values}

    with TemporaryDirectory() as folder:
        prepared, integers = Path(folder, "prepared.onnx"), Path(folder, "integers.onnx")
        onnxruntime_private.prepare_for_quantization(small_onnx(), prepared)
        quantization.quantize_static(prepared, integers, Reader(), quant_format=quantization.QuantFormat.QDQ)
        made = {tensor for node in onnx.load(integers).graph.node for tensor in node.output}
    assert onnxruntime_private.dequantized_name("values") in made
