"""Operators that an NPU does not support are rewritten to equivalent ones."""

from collections import Counter

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as tflite

from pocketzoo import layers
from pocketzoo.export.artifact.tflite_embedding import append_labels
from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.conversion.tflite.tflite_files import to_tflite
from pocketzoo.export.graph_rewrites.rewrite_registry import rewrite_graph
from pocketzoo.export.loading import open_with
from pocketzoo.export.runtimes.litert import open_tflite
from pocketzoo.export.sample_images import Samples
from pocketzoo.export.tflite_schema.nodes import tflite_nodes
from pocketzoo.export.validation.checks import vela

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 8, 12, 4))


def net(*middle):
    """A convolution followed by `middle`, whose map is the output."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 12, 4))
    x = keras.layers.Rescaling(1 / 64, -2, name="pixels")(image)
    x = keras.layers.Conv2D(8, 3, padding="same", name="first")(x)
    for layer in middle:
        x = layer(x)
    return keras.Model(image, x, name="net")


def integers(model, keep_float=()):
    return to_tflite(ExportGraph.from_model(model), "tflite-int8", Samples(IMAGES, None), keep_float)


def answers(content, folder):
    """Outputs of LiteRT's built-in kernels for `IMAGES`, and their scale."""
    (folder / "net.tflite").write_bytes(content)
    artifact = open_with(lambda *file: open_tflite(*file, xnnpack=False), folder / "net.tflite")
    return artifact.run(IMAGES), artifact.output.scale


def operators(content):
    return Counter(node.operator for node in tflite_nodes(content))


GROUPED = keras.layers.Conv2D(12, 3, groups=4, strides=2, padding="same", activation="relu6", name="grouped")
BARE = keras.layers.Conv2D(12, 3, groups=2, use_bias=False, name="grouped")
SWISH, SWISH_OF_VECTOR = (keras.layers.Activation("hard_swish", name="swish") for _ in range(2))
CASES = {
    "groups": ("edge_tpu", [GROUPED], {"CONV_2D": 3, "SPLIT": 1, "CONCATENATION": 1}, 1),
    "groups without a bias": ("edge_tpu", [BARE], {"CONV_2D": 1, "SPLIT": 1, "CONCATENATION": 1}, 1),
    "hard swish": ("edge_tpu", [SWISH], {"HARD_SWISH": -1, "ADD": 1, "MUL": 2}, 1),
    "hard swish of a vector": (
        "edge_tpu",
        [keras.layers.GlobalAveragePooling2D(), SWISH_OF_VECTOR],
        {"HARD_SWISH": -1, "ADD": 1, "MUL": 2},
        1,
    ),
    "softmax of two": (
        "edge_tpu",
        [keras.layers.Conv2D(2, 1, name="scores"), keras.layers.Softmax(name="softmax")],
        {"SOFTMAX": -1, "CONV_2D": 1, "LOGISTIC": 1},
        3,
    ),
    "softmax of a large map": (
        "ethos_u85",
        [keras.layers.UpSampling2D(4, interpolation="bilinear"), keras.layers.Softmax(name="softmax")],
        {"SOFTMAX": 1, "SPLIT": 1, "CONCATENATION": 1},
        0,
    ),
    "enlarging by 4": (
        "ethos_u55_u65",
        [keras.layers.UpSampling2D(4, interpolation="bilinear")],
        {"RESIZE_BILINEAR": -1, "RESIZE_NEAREST_NEIGHBOR": 1, "MIRROR_PAD": 1, "DEPTHWISE_CONV_2D": 2},
        1,
    ),
    "enlarging by 16": (
        "ethos_u55_u65",
        [keras.layers.UpSampling2D(16, interpolation="bilinear")],
        {"RESIZE_BILINEAR": -1, "RESIZE_NEAREST_NEIGHBOR": 2, "MIRROR_PAD": 1, "DEPTHWISE_CONV_2D": 2},
        1,
    ),
    "mean over the channels": ("ethos_u55_u65", [layers.SpatialAttention()], {"MEAN": -1, "CONV_2D": 1}, 3),
}


@pytest.mark.parametrize(("runtime", "middle", "change", "steps"), CASES.values(), ids=CASES)
def test_rewritten_graph_computes_the_same_function(runtime, middle, change, steps, tmp_path):
    model = net(*middle)
    content = integers(model)
    fitted = rewrite_graph(content, runtime)
    counts = operators(fitted)
    counts.subtract(operators(content))
    assert {name: count for name, count in counts.items() if count} == change
    (wanted, step), (given, _) = (answers(file, tmp_path) for file in (content, append_labels(fitted, [])))
    assert np.abs(given - wanted).max() <= (steps + 0.01) * step
    truth = model.predict(IMAGES, verbose=0)
    assert np.abs(given - truth).max() <= np.abs(wanted - truth).max() + (steps + 0.01) * step
    assert np.ptp(given) > 32 * step


@pytest.mark.parametrize("runtime", ["ethos_u55_u65", "ethos_u85", "edge_tpu"])
def test_supported_operators_are_not_rewritten(runtime):
    content = integers(net(keras.layers.UpSampling2D(2, interpolation="bilinear"), keras.layers.ReLU()))
    assert rewrite_graph(content, runtime) is content


@pytest.mark.parametrize(
    ("runtime", "layer"),
    [
        ("ethos_u55_u65", keras.layers.UpSampling2D((4, 8), interpolation="bilinear")),
        ("ethos_u55_u65", keras.layers.UpSampling2D(3, interpolation="bilinear")),
        ("edge_tpu", keras.layers.Softmax()),
    ],
    ids=["enlarging by 4 and 8", "enlarging by 3", "softmax of eight"],
)
def test_operators_without_replacement_are_not_rewritten(runtime, layer):
    content = integers(net(layer))
    assert rewrite_graph(content, runtime) is content


def test_float_layers_are_not_rewritten():
    grouped = keras.layers.Conv2D(12, 3, groups=4, name="grouped")
    content = integers(net(grouped, keras.layers.Conv2D(4, 1, name="last")), keep_float=["grouped"])
    assert rewrite_graph(content, "edge_tpu") is content


def test_split_kernel_is_removed_from_the_file():
    grouped = keras.layers.Conv2D(64, 3, groups=2, name="grouped")
    fitted = rewrite_graph(integers(net(keras.layers.Conv2D(64, 1), grouped)), "edge_tpu")
    model = tflite.Model.GetRootAsModel(fitted, 0)
    sizes = [model.Buffers(number).DataLength() for number in range(model.BuffersLength())]
    assert sizes.count(9 * 32 * 32) == 2
    assert 9 * 32 * 64 not in sizes


def test_large_map_of_a_segmentation_runs_on_the_npu():
    """Without the rewrite, Vela leaves the softmax to the CPU, and on Ethos-U55 the upsampling."""
    enlarged = keras.layers.UpSampling2D(32, interpolation="bilinear", name="enlarged")
    content = integers(net(enlarged, keras.layers.Softmax(name="softmax")))
    left = vela.compile_for(vela.ACCELERATORS["Ethos-U55"], content).on_cpu
    assert [node.operator for node in left] == ["RESIZE_BILINEAR", "SOFTMAX"]
    for accelerator in (vela.ACCELERATORS["Ethos-U55"], vela.ACCELERATORS["Ethos-U85"]):
        assert vela.compile_for(accelerator, rewrite_graph(content, accelerator.operators)).on_cpu == []


def test_softmax_with_long_rows_is_split_into_rows():
    image = keras.Input((2, 1500, 1))
    model = keras.Model(image, keras.layers.Softmax()(keras.layers.Conv2D(3, 1)(image)))
    wide = np.random.default_rng(0).integers(0, 256, (2, 2, 1500, 1))
    content = to_tflite(ExportGraph.from_model(model), "tflite-int8", Samples(wide, None))
    assert operators(rewrite_graph(content, "ethos_u85"))["SOFTMAX"] == 2
