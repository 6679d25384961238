"""Checks of the private names of tf2onnx."""

import os

import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf
import tf2onnx

from pocketzoo.core import tf2onnx_private
from support.private_names.checks import check_of


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


@check_of("TransposeOptimizer._mul_handler")
def square_has_the_shape_of_the_map_that_is_squared():
    kernels = np.random.default_rng(0).normal(size=(2, 1, 3, 1, 4)).astype("float32")

    @tf.function(input_signature=[tf.TensorSpec((1, 1, 12, 1), name="image")], autograph=False)
    def serve(image):
        first, second = (tf.nn.conv2d(image, kernel, 1, "VALID") for kernel in kernels)
        return {"map": tf.nn.conv2d(first * first + second * second, np.ones((1, 1, 4, 2), "float32"), 1, "VALID")}

    function = serve.get_concrete_function()
    (image,), (result,) = function.inputs, function.outputs
    names = {"input_names": [image.name], "output_names": [result.name]}
    layout = {"inputs_as_nchw": [image.name], "outputs_as_nchw": [result.name]}

    # Without the patch it depends on the order of a set whether the file is wrong.
    with tf2onnx_private.optimize_in_place():
        graph = function.graph.as_graph_def()
        model, _ = tf2onnx.convert.from_graph_def(graph, **names, **layout, opset=17)
    onnx.checker.check_model(model, full_check=True)
    pixels = np.random.default_rng(0).normal(size=(1, 1, 12, 1)).astype("float32")
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: pixels.transpose(0, 3, 1, 2)})
    np.testing.assert_allclose(found, serve(pixels)["map"].numpy().transpose(0, 3, 1, 2), atol=1e-4)


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


def convert_to_outputs(function, values: np.ndarray) -> np.ndarray:
    """Outputs of a function as ONNX Runtime computes them."""
    serve = tf.function(lambda x: {"y": function(x)}, [tf.TensorSpec(values.shape, name="x")], autograph=False)
    concrete = serve.get_concrete_function()
    model, _ = tf2onnx.convert.from_graph_def(
        concrete.graph.as_graph_def(),
        input_names=[concrete.inputs[0].name],
        output_names=[concrete.outputs[0].name],
        opset=17,
    )
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: values})[0]


@check_of("tf2onnx.handler.tf_op")
def operators_with_handlers_of_our_own_are_converted():
    values = np.linspace(-3, 3, 25, dtype="float32")[None]
    for function in (tf.math.erfc, tf.math.expm1, lambda x: tf.math.log1p(tf.abs(x))):
        np.testing.assert_allclose(convert_to_outputs(function, values), function(values), atol=1e-6)


@check_of("tf2onnx.onnx_opset.nn.Resize")
def map_is_resized_to_the_size_itself():
    image = np.random.default_rng(0).uniform(size=(1, 100, 97, 2)).astype("float32")
    for method in ("bilinear", "nearest"):

        def resize(x, method=method):
            return tf.image.resize(x, (64, 41), method)

        np.testing.assert_allclose(convert_to_outputs(resize, image), resize(image), atol=1e-5)
