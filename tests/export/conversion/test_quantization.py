"""Quantization by calibration: the images, the layers most affected, and those kept in floating point."""

import keras
import numpy as np
import onnx
import pytest
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketzoo import export, zoo
from pocketzoo.export.conversion.artifact_files import write_artifacts
from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.conversion.tflite.tflite_files import to_tflite
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.loading import load_artifact
from pocketzoo.export.sample_images import Samples
from pocketzoo.export.tflite_schema.layer_names import layers_of, match_layers
from pocketzoo.export.tflite_schema.nodes import tflite_nodes
from pocketzoo.layers import PixelNormalization

INTEGERS = [FORMATS[name] for name in ("tflite-int8", "tflite-int16x8", "onnx-int8", "onnx-int8-tensorrt")]


def net_with_even_bias(kind: str) -> keras.Model:
    """One layer whose channels have kernels of very different magnitude, and equal biases."""
    image = keras.Input((8, 8, 3))
    x = keras.layers.Rescaling(1 / 255, name="pixels")(image)
    if kind == "convolution":
        layer = keras.layers.Conv2D(6, 3, name="layer")
    else:
        x = keras.layers.Flatten(name="flat")(x)
        layer = keras.layers.Dense(6, name="layer")
    model = keras.Model(image, layer(x), name=kind)
    layer.kernel.assign(layer.kernel.numpy() * np.geomspace(0.01, 1, 6))
    layer.bias.assign(np.full(6, 2.0))
    return model


@pytest.mark.parametrize("kind", ["convolution", "dense"])
def test_uniform_bias_has_the_scale_of_each_channel(kind, pixels, tmp_path):
    """The TFLite converter gives all channels of a quantization-aware model the scale of the first."""
    keras.utils.set_random_seed(0)
    model, images = net_with_even_bias(kind), pixels(16, 8, 8, 3)
    expected = model.predict(images, verbose=0)
    for path, _ in write_artifacts(ExportGraph.from_model(model), INTEGERS, Samples(images, None), tmp_path):
        step = np.ptp(expected) / 255
        np.testing.assert_allclose(load_artifact(path).run(images), expected, atol=4 * step, err_msg=path.name)


@pytest.mark.parametrize("activation", ["selu", "mish", "softplus"])
def test_infinite_values_cannot_be_quantized(activation, pixels):
    """Their exponential overflows, which crashes the TFLite converter of TensorFlow 2.21."""
    image = keras.Input((8, 8, 3))
    x = keras.layers.Activation(activation, name="bend")(keras.layers.Conv2D(4, 3, name="conv")(image))
    model = keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(x)), name="bent")
    form, images = ExportGraph.from_model(model), Samples(pixels(4, 8, 8, 3), None)
    with pytest.raises(zoo.InputError, match=r"^bend has intermediate values from .* to inf, .* by ReLU"):
        to_tflite(form, "tflite-int8", images)


@pytest.mark.parametrize(("kind", "atol"), [("tflite-fp32", 1e-5), ("tflite-int8", 0.02)])
def test_color_normalization_is_one_convolution(kind, atol, pixels, tmp_path):
    """LiteRT has no fast kernel for a scale and an offset per channel."""
    image = keras.Input((8, 8, 3))
    colours = PixelNormalization(mean=(124, 116, 104), scale=(1 / 58, 1 / 57, 1 / 57), name="pixels")(image)
    answer = keras.layers.Conv2D(4, 3, padding="same", name="conv")(colours)
    model, images = keras.Model(image, answer, name="colours"), pixels(8, 8, 8, 3).round()
    path = tmp_path / "colours.tflite"
    path.write_bytes(to_tflite(ExportGraph.from_model(model), kind, Samples(images, None)))
    assert [node.operator for node in tflite_nodes(path.read_bytes())] == ["CONV_2D", "CONV_2D"]
    expected = model.predict(images, verbose=0)
    np.testing.assert_allclose(load_artifact(path).run(images), expected, atol=atol * np.ptp(expected))


def test_hard_swish_runs_with_16_bit_activations(pixels, tmp_path):
    """The converter fuses it to one operator, which it then rejects."""
    image = keras.Input((8, 8, 3))
    x = keras.layers.Rescaling(1 / 64, offset=-2)(image)
    model = keras.Model(image, keras.layers.Activation("hard_swish")(keras.layers.Conv2D(4, 3)(x)), name="swish")
    images = pixels(8, 8, 8, 3)
    path = tmp_path / "swish.tflite"
    path.write_bytes(to_tflite(ExportGraph.from_model(model), "tflite-int16x8", Samples(images, None)))
    expected = model.predict(images, verbose=0)
    np.testing.assert_allclose(load_artifact(path).run(images), expected, atol=0.01 * np.ptp(expected))


@pytest.fixture(scope="module")
def kept(trained_file, digits, tmp_path_factory):
    """A bundle whose head stays in floating point."""
    out = tmp_path_factory.mktemp("kept") / "out"
    images = digits.train.images.take(np.arange(40))
    targets = ["edge-mcu", "server-int8"]
    export.export_model(zoo.load_model(trained_file), out, targets=targets, calibration=images, keep_float=["head*"])
    return out


def test_layers_to_keep_in_floating_point_stay_so(kept):
    interpreter = Interpreter(str(kept / "lenet5-int8.tflite"))
    tensors = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}
    types: dict[bool, set[str]] = {True: set(), False: set()}
    for operator in interpreter._get_ops_details():
        if operator["op_name"] not in ("QUANTIZE", "DEQUANTIZE"):
            output = tensors[operator["outputs"][0]]
            layers = layers_of(output["name"])
            in_head = not layers or "head_dense" in layers  # the output tensor does not have its layer's name
            types[in_head].add(np.dtype(output["dtype"]).name)
    assert types == {True: {"float32"}, False: {"int8"}}
    for file in ("lenet5-int8.onnx", "lenet5-int8-tensorrt.onnx"):
        nodes = onnx.load(kept / file).graph.node
        makers = {name: node.op_type for node in nodes for name in node.output}
        fed = {name: {makers.get(source) for source in node.input} for node in nodes for name in [node.name]}
        assert not [name for name in fed if "/head_dense" in name and "DequantizeLinear" in fed[name]]
        assert [name for name in fed if "stage1_conv_conv" in name and "DequantizeLinear" in fed[name]]


def test_convolution_with_folded_batch_norm_stays_float_in_onnx(pixels, tmp_path):
    """The converter names it after the normalization, or by a number."""
    form = ExportGraph.from_model(zoo.create_model("resnet20", blocks=1, input_shape=(16, 16, 3)))
    how = {"calibration": Samples(pixels(4, 16, 16, 3), None), "keep_float": ["stem_conv"]}
    ((path, _),) = write_artifacts(form, [FORMATS["onnx-int8"]], folder=tmp_path, **how)
    convolutions = [node for node in onnx.load(path).graph.node if node.op_type == "Conv"]
    in_floats = [node for node in convolutions if not node.input[1].endswith("DequantizeLinear_Output")]
    assert [set(layers_of(node.name)) for node in in_floats] == [{"stem_conv", "stem_norm"}]


def test_onnx_input_is_uint8_even_if_the_first_layer_stays_float(pixels, tmp_path):
    keras.utils.set_random_seed(0)
    model, images = net_with_even_bias("convolution"), pixels(16, 8, 8, 3)
    how = {"calibration": Samples(images, None), "keep_float": ["pixels"]}
    ((path, _),) = write_artifacts(ExportGraph.from_model(model), [FORMATS["onnx-int8"]], folder=tmp_path, **how)
    artifact, expected = load_artifact(path), model.predict(images, verbose=0)
    assert (artifact.input.name, artifact.input.dtype) == ("image", "uint8")
    np.testing.assert_allclose(artifact.run(images), expected, atol=4 * np.ptp(expected) / 255)


def test_metadata_names_calibration_images_and_float_layers(kept, bundle):
    manifest = export.Manifest.load(kept / "manifest.json")
    for record in manifest.artifacts:
        making = load_artifact(kept / record.file).metadata.making
        assert making.format == record.format
        assert making.calibration == manifest.calibration
        assert "head_dense" in making.float_layers
        assert making.tools["tensorflow"] == manifest.tools["tensorflow"]
    assert load_artifact(bundle / "lenet5-fp32.tflite").metadata.making.calibration is None


def test_report_names_the_layers_most_affected_by_quantization(bundle, manifest, kept):
    noise = {record.format: record.noise_db for record in manifest.artifacts if record.noise_db}
    assert set(noise) == {"tflite-int8", "tflite-uint8", "tflite-int8-float", "onnx-int8", "onnx-int8-tensorrt"}
    whole = noise["tflite-int8"]
    assert list(whole.values()) == sorted(whole.values())
    assert 10 < min(whole.values()) < max(whole.values()) < 80
    report = (bundle / "report.md").read_text()
    assert all(f"| {layer} | {decibels:.1f} |" in report for layer, decibels in whole.items())
    (floating,) = (
        record.noise_db
        for record in export.Manifest.load(kept / "manifest.json").artifacts
        if record.format == "tflite-int8"
    )
    # Float layers add no noise of their own to that of their inputs.
    assert floating.get("head_dense", np.inf) > whole["head_dense"]  # among the ten that are listed


def test_pattern_that_matches_no_layer_is_refused(trained, digits, tmp_path):
    with pytest.raises(zoo.InputError, match=r"unknown layer 'head_dence': did you mean head_dense"):
        export.export_model(
            trained, tmp_path / "out", targets="edge", calibration=digits.train, keep_float=["head_dence"]
        )
    assert list(tmp_path.iterdir()) == []


def test_keep_float_is_refused_with_16_bit_activations(trained, digits, tmp_path):
    how = {"targets": "int16x8", "calibration": digits.train, "keep_float": ["head_dense"]}
    with pytest.raises(zoo.InputError, match="keep_float is for int8; tflite-int16x8 cannot keep layers in"):
        export.export_model(trained, tmp_path / "out", **how)


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("net/stem_act/Relu;net/stem_conv/convolution", ["stem_act", "stem_conv"]),
        ("net_1/conv_2_1/convolution", ["conv_2_1"]),
        ("net/norm/batchnorm/add_1;net/conv/convolution;net/norm/batchnorm/sub1", ["norm", "conv"]),
        ("net/conv_2/convolution", ["conv_2"]),
        ("Identity", []),
    ],
)
def test_layers_are_read_from_tensor_names(name, layers):
    assert layers_of(name) == layers


def test_patterns_are_those_of_a_shell():
    names = ["stem_conv", "head_dense", "head_pool"]
    assert match_layers(names, ["head_*", "stem_conv"]) == set(names)
    assert match_layers(names, []) == set()


def scenes(random: np.random.Generator, count: int, size: int) -> np.ndarray:
    """Gray patches with camera noise."""
    patches = random.integers(0, 200, (count, 5, 5, 1)).repeat(-(-size // 5), axis=1).repeat(-(-size // 5), axis=2)
    return (patches[:, :size, :size] + random.normal(0, 10, (count, size, size, 1))).clip(0, 255)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(4, 40),
    size=st.integers(16, 48),
    contrast=st.floats(0.1, 1),
    kind=st.sampled_from(["uniform", "normal", "binary"]),
)
def test_noise_is_distinguished_from_images(seed, count, size, contrast, kind):
    random = np.random.default_rng(seed)
    shape = (count, size, size, 1)
    noise = {
        "uniform": lambda: random.uniform(0, 255, shape),
        "normal": lambda: random.normal(128, 30, shape).clip(0, 255),
        "binary": lambda: 255.0 * random.integers(0, 2, shape),
    }[kind]()
    with pytest.raises(zoo.InputError, match="calibration is noise"):
        Samples(contrast * noise, None).check_not_noise("calibration")
    Samples(contrast * scenes(random, count, size), None).check_not_noise("calibration")


def test_digits_blank_pages_and_patterns_are_not_noise(digits):
    Samples(digits.train.images.take(np.arange(20)), None).check_not_noise("calibration")
    Samples(np.full((3, 8, 8, 3), 255.0), None).check_not_noise("calibration")
    Samples(255.0 * np.indices((3, 8, 8, 1)).sum(axis=0) % 2, None).check_not_noise("calibration")


def test_calibration_with_noise_is_refused(trained, pixels, tmp_path):
    with pytest.raises(zoo.InputError, match="give real images"):
        export.export_model(trained, tmp_path / "out", targets="edge", calibration=pixels(20, 32, 32, 1))
