"""ONNX: NCHW layout, half precision, GPUs, files of other tools."""

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, numpy_helper
from support.graph_quality import findings

from pocketzoo import export, zoo
from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.conversion.onnx.float_model import to_onnx
from pocketzoo.export.conversion.onnx.graph_fixes import _bicubic_weights, fold_flattening


def answers(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    """Outputs for NHWC images."""
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return np.concatenate([session.run(None, {"image": image.transpose(2, 0, 1)[None]})[0] for image in images])


@pytest.fixture(scope="module")
def mapped(tmp_path_factory, pixels):
    """An exported segmentation model."""
    keras.utils.set_random_seed(0)
    model = zoo.create_model("resnet20", blocks=1, input_shape=(24, 20, 3), head="segmentation", labels=["a", "b"])
    out = tmp_path_factory.mktemp("maps") / "out"
    export.export_model(model, out, targets=["gpu"])
    return model, out, pixels(3, 24, 20, 3)


@pytest.mark.parametrize("kind", ["fp32", "fp16"])
def test_graph_is_nchw_and_artifact_runs_nhwc(kind, mapped):
    model, out, images = mapped
    artifact = export.load_artifact(out / f"resnet20-{kind}.onnx")
    assert (artifact.input.shape, artifact.output.shape) == ((1, 3, 24, 20), (1, 2, 24, 20))
    assert (artifact.input.dtype, artifact.output.dtype, artifact.output.name) == ("float32", "float32", "mask")
    assert artifact.metadata.layout == artifact.input.layout == "NCHW"
    expected = model.predict(images, verbose=0)
    np.testing.assert_allclose(artifact.run(images), expected, atol=1e-5 if kind == "fp32" else 2e-3)
    assert findings(out / f"resnet20-{kind}.onnx") == []


def test_half_precision_is_in_the_weights_and_the_arithmetic(mapped):
    _, out, _ = mapped
    graph = onnx.load(out / "resnet20-fp16.onnx").graph
    kernels = [tensor for tensor in graph.initializer if len(tensor.dims) > 1]
    assert {tensor.data_type for tensor in kernels} == {TensorProto.FLOAT16}
    casts = [node for node in graph.node if node.op_type == "Cast"]
    assert len(casts) == 2  # at the input and at the output


@pytest.mark.parametrize("kind", ["fp32", "fp16"])
def test_pads_state_their_mode(kind, mapped):
    """ncnn's converter does not know a Pad without it."""
    graph = onnx.load(mapped[1] / f"resnet20-{kind}.onnx").graph
    modes = [{a.name: a.s for a in node.attribute} for node in graph.node if node.op_type == "Pad"]
    assert modes == [{"mode": b"constant"}] * 2


def test_gpu_checks_are_skipped_with_the_reason(mapped):
    _, out, _ = mapped
    for record in export.Manifest.load(out / "manifest.json").artifacts:
        checks = {check.name: check for check in record.checks}
        assert checks["ONNX Runtime"].status == "passed"
        if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            assert checks["ONNX Runtime with CUDA"].status == "skipped"
            assert "pip install onnxruntime-gpu" in checks["ONNX Runtime with CUDA"].skipped


def test_integers_for_tensorrt_are_symmetric_and_leave_biases_in_floats(bundle):
    graph = onnx.load(bundle / "lenet5-int8-tensorrt.onnx").graph
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    pairs = [node for node in graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    zero_points = [tensors[node.input[2]] for node in pairs]
    assert {str(zero_point.dtype) for zero_point in zero_points} == {"int8"}
    assert not any(zero_point.any() for zero_point in zero_points)
    steps = [
        tensors[node.input[1]].size for node in pairs if tensors.get(node.input[0], np.zeros(0)).shape[2:] == (5, 5)
    ]
    assert steps == [6, 16]  # one per channel of a convolution


def net_of(*flattened: tuple[int, int, int]) -> keras.Model:
    """Maps of several sizes, flattened and concatenated before a dense layer."""
    image = keras.Input((12, 10, 3))
    vectors = []
    for number, (filters, height, width) in enumerate(flattened):
        x = keras.layers.Conv2D(filters, (13 - height, 11 - width), name=f"conv{number}")(image)
        vectors.append(keras.layers.Flatten(name=f"flat{number}")(x))
    x = keras.layers.Concatenate(name="join")(vectors) if len(vectors) > 1 else vectors[0]
    return keras.Model(image, keras.layers.Dense(4, name="dense")(x), name="net")


@pytest.mark.parametrize("use_bias", [True, False])
def test_sum_of_convolutions_of_one_pixel_has_their_biases_once(use_bias, pixels):
    image = keras.Input((4, 4, 3))
    conv = keras.layers.Conv2D(5, 1, use_bias=use_bias, bias_initializer="random_normal", name="shared")
    pooled = [keras.layers.GlobalAveragePooling2D(keepdims=True), keras.layers.GlobalMaxPooling2D(keepdims=True)]
    total = keras.layers.Add()([conv(layer(image)) for layer in pooled])
    model, images = keras.Model(image, keras.layers.Flatten()(total)), pixels(2, 4, 4, 3)
    expected = model.predict(images, verbose=0)
    np.testing.assert_allclose(answers(to_onnx(ExportGraph.from_model(model)), np.float32(images)), expected, rtol=1e-4)


@pytest.mark.parametrize(("activation", "pads"), [("linear", ["-0.0"]), ("relu", ["0.0"])])
def test_zero_padding_before_max_pooling_keeps_its_zeros(activation, pads, pixels):
    """ONNX Runtime must not fuse the padding, except where no value is negative."""
    image = keras.Input((9, 8, 3))
    x = keras.layers.Conv2D(4, 3, activation=activation, bias_initializer=keras.initializers.Constant(-9))(image)
    x = keras.layers.MaxPooling2D(3, strides=2)(keras.layers.ZeroPadding2D(1)(x))
    model = keras.Model(image, keras.layers.Dense(4)(keras.layers.Flatten()(x)), name="net")
    images = pixels(2, 9, 8, 3) / 255
    onnx_model = to_onnx(ExportGraph.from_model(model))
    np.testing.assert_allclose(answers(onnx_model, images), model.predict(images, verbose=0), atol=1e-4)
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx_model.graph.initializer}
    inputs = [list(node.input) for node in onnx_model.graph.node if node.op_type == "Pad"]
    assert [str(tensors[names[2]].item()) if len(names) > 2 else "0.0" for names in inputs] == pads


@pytest.mark.parametrize("flattened", [[(5, 3, 4)], [(5, 3, 4), (2, 1, 1), (3, 2, 6)]])
def test_flattened_maps_are_not_transposed(flattened, pixels):
    model = net_of(*flattened)
    converted = to_onnx(ExportGraph.from_model(model))
    assert "Transpose" not in {node.op_type for node in converted.graph.node}
    images = pixels(4, 12, 10, 3)
    np.testing.assert_allclose(answers(converted, images), model.predict(images, verbose=0), rtol=1e-4, atol=1e-2)


def transposed_and_dense(*, shared: bool) -> onnx.ModelProto:
    """A map that is transposed and flattened before a dense layer; with `shared`, the vector has another consumer."""
    make, kernel = onnx.helper.make_node, np.random.default_rng(0).normal(size=(24, 3)).astype("float32")
    nodes = [
        make("Transpose", ["image"], ["last"], perm=[0, 2, 3, 1]),
        make("Reshape", ["last", "shape"], ["vector"]),
        make("MatMul", ["vector", "kernel"], ["answer"]),
    ]
    tensor = onnx.helper.make_tensor_value_info
    outputs = [tensor("answer", TensorProto.FLOAT, [1, 3])]
    outputs += [tensor("vector", TensorProto.FLOAT, [1, 24])] if shared else []
    constants = {"shape": np.array([1, 24]), "kernel": kernel}
    graph = onnx.helper.make_graph(
        [make("Relu", ["raw"], ["image"]), *nodes],
        "net",
        [tensor("raw", TensorProto.FLOAT, [1, 2, 3, 4])],
        outputs,
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)


@pytest.mark.parametrize("shared", [False, True])
def test_vector_that_is_used_elsewhere_keeps_its_order(shared):
    model = transposed_and_dense(shared=shared)
    folded = fold_flattening(model)
    assert any(node.op_type == "Transpose" for node in folded.graph.node) == shared
    image = {"raw": np.random.default_rng(1).uniform(size=(1, 2, 3, 4)).astype("float32")}
    before, after = (onnxruntime.InferenceSession(m.SerializeToString()).run(None, image) for m in (model, folded))
    for expected, found in zip(before, after, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70))
def test_weights_of_bicubic_resizing_are_those_of_tensorflow(before, after):
    pixels = np.eye(before, dtype="float32")[..., None]
    expected = keras.ops.image.resize(pixels, (after, before), "bicubic")[..., 0]
    np.testing.assert_allclose(_bicubic_weights(before, after), expected, atol=1e-5)


@pytest.mark.parametrize("last", [True, False])
def test_bicubic_resizing_equals_keras(last, pixels):
    image = keras.Input((11, 8, 3))
    x = keras.layers.Resizing(7, 12, interpolation="bicubic")(image)
    model = keras.Model(image, x if last else keras.layers.Conv2D(2, 3)(x))
    images = pixels(2, 11, 8, 3)
    expected = model.predict(images, verbose=0).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(answers(to_onnx(ExportGraph.from_model(model)), images), expected, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ([1, 8, 8, 3], "NHWC"),
        ([1, 3, 8, 8], "NCHW"),
        ([1, 8, 8, 1], "NHWC"),
        ([1, 1, 8, 8], "NCHW"),
        ([1, 3, 8, 3], "NHWC"),
    ],
)
def test_layout_of_a_foreign_file_is_inferred_from_its_shape(shape, layout, tmp_path):
    tensor = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["x"], ["y"])],
        "net",
        [tensor("x", TensorProto.FLOAT, shape)],
        [tensor("y", TensorProto.FLOAT, shape)],
    )
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9),
        tmp_path / "net.onnx",
    )
    artifact = export.load_artifact(tmp_path / "net.onnx")
    assert artifact.input.layout == layout
    images = np.random.default_rng(0).uniform(0, 255, (2, *artifact.input.image_shape)).astype("float32")
    np.testing.assert_array_equal(artifact.run(images), images)
