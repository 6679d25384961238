"""Products of bytes that some x86 processors clip to 16 bits."""

import keras
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers, sampled_from
from keras import layers
from onnx import TensorProto, helper, numpy_helper

from pocketzoo import export
from pocketzoo.export.conversion.onnx import quantized_model
from pocketzoo.export.conversion.onnx.saturation import saturating_nodes

CLIPPED = 1 - (2**15 - 1) / (2 * 255 * 127)
"""What is lost where both of two pixels and weights are the largest."""


def convolution(kernel, side, group=1, **options):
    """A convolution in QDQ form, from bytes."""
    channels = kernel.shape[1] * group
    constants = {
        "scale": np.float32(1),
        "zero": np.uint8(0),
        "kernel": kernel,
        "kernel_scale": np.float32(0.01),
        "kernel_zero": np.int8(0),
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "scale", "zero"], ["pixels"]),
        helper.make_node("DequantizeLinear", ["kernel", "kernel_scale", "kernel_zero"], ["weights"]),
        helper.make_node("Conv", ["pixels", "weights"], ["y"], "conv", group=group, **options),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.UINT8, (1, channels, side, side))
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", [x], [y], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@settings(max_examples=25, deadline=None)
@given(
    side=integers(7, 12),
    window=sampled_from([(1, 1), (2, 3), (3, 3)]),
    pairs=integers(1, 3),
    group=integers(1, 2),
    stride=integers(1, 3),
    dilation=integers(1, 3),
)
def test_bright_pixels_and_large_weights_saturate(side, window, pairs, group, stride, dilation):
    channels = 2 * pairs
    options = {"group": group, "strides": [stride, stride], "dilations": [dilation, dilation]}
    white = [{"x": np.full((1, channels * group, side, side), 255, "uint8")}]
    kernel = np.full((2 * group, channels, *window), 127, "int8")
    assert saturating_nodes(convolution(kernel, side, **options), white) == {"conv": pytest.approx(CLIPPED)}
    assert saturating_nodes(convolution(kernel // 2, side, **options), white) == {}  # 7 bits
    kernel[:, ::2] *= -1  # one of each pair
    assert saturating_nodes(convolution(kernel, side, **options), white) == {}


def test_saturation_that_costs_less_than_weights_of_7_bits_is_left():
    white = [{"x": np.full((1, 2, 6, 6), 255, "uint8")}]
    # 2 * 255 * 65 is 1.2 % too much for 16 bits; 64, the nearest of 7 bits, is 1.5 % less than 65.
    assert saturating_nodes(convolution(np.full((2, 2, 3, 3), 65, "int8"), 6), white) == {}
    assert saturating_nodes(convolution(np.full((2, 2, 3, 3), 67, "int8"), 6), white) != {}


def test_dark_pixels_and_padding_do_not_saturate():
    kernel = np.full((2, 2, 3, 3), 127, "int8")
    padded = convolution(kernel, 6, pads=[1, 1, 1, 1])
    assert saturating_nodes(padded, [{"x": np.full((1, 2, 6, 6), 128, "uint8")}]) == {}
    (error,) = saturating_nodes(padded, [{"x": np.full((1, 2, 6, 6), 255, "uint8")}]).values()
    assert error == pytest.approx(CLIPPED)
    assert (
        saturating_nodes(
            convolution(np.full((4, 1, 3, 3), 127, "int8"), 6, group=4), [{"x": np.full((1, 4, 6, 6), 255, "uint8")}]
        )
        == {}
    )


@pytest.fixture(scope="module")
def bright():
    """A net with a convolution that sums bright pixels, and one that does not; and images."""
    keras.utils.set_random_seed(0)
    image = keras.Input((12, 12, 3))
    x = layers.Conv2D(4, 3, activation="relu", name="sums", kernel_initializer="ones")(image)
    x = layers.Conv2D(8, 3, activation="relu", name="other")(layers.Rescaling(2e-4)(x))
    model = keras.Model(image, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x)), name="bright")
    other = model.get_layer("other").kernel
    other.assign(keras.ops.abs(other) * np.reshape([1, -1, 1, -1], (4, 1)))  # neighbors cancel each other
    coarse = np.random.default_rng(0).integers(100, 256, (40, 3, 3, 3))
    return model, coarse.repeat(4, axis=1).repeat(4, axis=2)


def kernels(path):
    """The largest int8 weight of each layer."""
    tensors = {tensor.name: tensor for tensor in onnx.load(path).graph.initializer}
    return [
        np.abs(numpy_helper.to_array(t).astype(int)).max()
        for t in tensors.values()
        if t.data_type == TensorProto.INT8 and len(t.dims) == 4
    ]


LOOSE = {"agreement": 0, "relative_difference": 10}


def test_layers_that_saturate_get_weights_of_7_bits(bright, tmp_path):
    model, images = bright
    how = {"targets": ["server-int8"], "calibration": images, "thresholds": LOOSE}
    manifest = export.export_model(model, tmp_path / "out", **how)
    gates = {gate.name: gate for gate in manifest.artifacts[0].checks[0].gates}
    assert gates["saturation without VNNI"].status == "passed"
    assert sorted(kernels(tmp_path / "out" / "bright-int8.onnx")) == [64, 127]
    assert sorted(kernels(tmp_path / "out" / "bright-int8-tensorrt.onnx")) == [127, 127]  # of int8 activations


def test_saturation_that_remains_is_reported(bright, tmp_path, monkeypatch):
    """As with integers that were trained."""
    monkeypatch.setattr(quantized_model, "saturating_nodes", lambda *_: {})
    model, images = bright
    how = {"targets": ["server-int8"], "calibration": images, "thresholds": LOOSE}
    manifest = export.export_model(model, tmp_path / "out", **how)
    gate = next(gate for gate in manifest.artifacts[0].checks[0].gates if gate.name == "saturation without VNNI")
    assert gate.status == "skipped"
    assert gate.figure > 0.01
    assert "sums" in gate.reason
    assert "off on x86 processors with AVX2 and without VNNI" in gate.reason
