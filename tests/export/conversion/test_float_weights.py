"""Layers that stay in floating point where weights alone are integers."""

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as tflite
from keras import layers

from pocketzoo import zoo
from pocketzoo.export.conversion.artifact_files import write_artifacts
from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.loading import load_artifact
from pocketzoo.export.tflite_schema.flatbuffer import unpack_model
from pocketzoo.zoo.contract import state_contract

KERNELS = {
    "conv": 32 * 32 * 9,
    "up": 32 * 32 * 4,
    "pointwise": 32 * 48,
    "wide": 48 * 49,
    "dense": 48 * 40,
    "head": 40 * 36,
}
"""Layers by the number of weights in their kernels; the converter leaves smaller ones in floats anyway."""


@pytest.fixture(scope="module")
def graph():
    keras.utils.set_random_seed(0)
    image = keras.Input((10, 10, 3), name="image")
    x = layers.Conv2D(32, 3, name="stem")(layers.Rescaling(1 / 255, name="pixels")(image))
    x = layers.Conv2D(32, 3, use_bias=False, name="conv")(x)
    x = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(x))
    x = layers.Conv2DTranspose(32, 2, strides=2, name="up")(x)
    x = layers.DepthwiseConv2D(7, padding="same", name="wide")(layers.Conv2D(48, 1, name="pointwise")(x))
    x = layers.Dense(40, "relu", name="dense")(layers.GlobalAveragePooling2D(name="pool")(x))
    model = keras.Model(image, layers.Dense(36, name="head")(x), name="net")
    state_contract(model, task="raw")
    return ExportGraph.from_model(model)


def written(graph, folder, keep_float):
    ((path, _),) = write_artifacts(graph, [FORMATS["tflite-dynamic"]], None, folder, keep_float=keep_float)
    return path


def float_kernels(path):
    """Numbers of values of the large kernels that are floats, and of those that are integers."""
    tensors = unpack_model(path.read_bytes()).subgraphs[0].tensors
    sizes = {
        kind: sorted(int(np.prod(t.shape)) for t in tensors if t.type == kind) for kind in (0, tflite.TensorType.INT8)
    }
    return [size for size in sizes[0] if size in KERNELS.values()], sizes[tflite.TensorType.INT8]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("conv", ["conv"]),
        ("norm", ["conv"]),
        ("up", ["up"]),
        ("wide", ["wide"]),
        ("head", ["head"]),
        ("relu", ["conv"]),
    ],
)
def test_weights_of_a_layer_stay_floats_and_others_become_integers(pattern, expected, graph, tmp_path):
    path = written(graph, tmp_path, [pattern])
    floats, integers = float_kernels(path)
    assert floats == [KERNELS[name] for name in expected]
    assert integers == sorted(size for name, size in KERNELS.items() if name not in expected)
    assert load_artifact(path).metadata.making.float_layers == (pattern,)


def test_file_with_all_layers_in_floats_computes_what_keras_does(graph, pixels, tmp_path):
    images = pixels(4, 10, 10, 3)
    expected = graph.flat.predict(images, verbose=0)
    errors = {}
    for keep in ((), ("*",)):
        outputs = load_artifact(written(graph, tmp_path, keep)).run(images)
        errors[keep] = np.abs(outputs - expected).max() / np.ptp(expected)
    assert errors["*",] < 1e-5
    assert errors[()] > 1e-4


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("coreml-int8", "keep_float is for TFLite and ONNX; coreml-int8 cannot keep layers in floating point"),
        ("tflite-int16x8", "keep_float is for int8; tflite-int16x8 cannot keep layers in floating point"),
    ],
)
def test_format_that_cannot_keep_layers_in_floats_is_refused(name, message, graph, tmp_path):
    with pytest.raises(zoo.InputError, match=message):
        list(write_artifacts(graph, [FORMATS[name]], None, tmp_path, keep_float=["head"]))
