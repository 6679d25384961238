"""TFLite and ONNX files as other tools write them, of small nets with random weights."""

from pathlib import Path

import keras
import numpy as np
import onnx
import tensorflow as tf
from onnx import TensorProto, helper

SIDE = 16
PIXELS = TensorProto.FLOAT
NODE, VALUE = helper.make_node, helper.make_tensor_value_info


def classifier(*, activation: str | None = "softmax", classes: int = 3) -> keras.Model:
    """A convolution and a dense layer."""
    keras.utils.set_random_seed(0)
    image = keras.Input((SIDE, SIDE, 3), name="photo")
    x = keras.layers.Conv2D(4, 3, strides=2, activation="relu")(image)
    x = keras.layers.Dense(classes, activation)(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, x)


def convert_to_tflite(model: keras.Model, path: Path, *, low: float | None = None, high: float = 0.0) -> Path:
    """Write TFLite in floats; or quantized with uint8 inputs and outputs for images of values from `low` to `high`."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if low is not None:
        random = np.random.default_rng(0)
        images = random.uniform(low, high, (16, 1, *model.input_shape[1:])).astype("float32")
        images[0, 0, 0, 0], images[1, 0, 0, 0] = low, high
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image] for image in images)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.uint8
    path.write_bytes(converter.convert())
    return path


def convert_to_onnx(model: keras.Model, path: Path) -> Path:
    """Write ONNX with Keras' own exporter."""
    model(np.zeros((1, *model.input_shape[1:]), "float32"))  # which asks for a model that was called
    model.export(path, format="onnx", verbose=False)
    return path


def write_onnx(path: Path, nodes: list, inputs: list, outputs: list, constants: dict | None = None) -> Path:
    """Write a graph as PyTorch would; constants are arrays by name."""
    stored = [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()]
    graph = helper.make_graph(nodes, "main_graph", inputs, outputs, stored)
    made_by = {"producer_name": "pytorch", "producer_version": "2.3.0"}
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, **made_by)
    path.write_bytes(model.SerializeToString())
    return path


def detector(path: Path) -> Path:
    """An object detector: 16 boxes, scores of 2 classes, and the boxes that non-maximum suppression selects."""
    random = np.random.default_rng(0)
    return write_onnx(
        path,
        [
            NODE("Conv", ["images", "kernel"], ["c"], strides=[8, 8]),
            NODE("Reshape", ["c", "grid"], ["flat"]),
            NODE("Transpose", ["flat"], ["rows"], perm=[0, 2, 1]),
            NODE("Split", ["rows", "parts"], ["boxes", "raw_scores"], axis=2),
            NODE("Sigmoid", ["raw_scores"], ["by_box"]),
            NODE("Transpose", ["by_box"], ["scores"], perm=[0, 2, 1]),
            NODE("NonMaxSuppression", ["boxes", "scores", "most", "overlap", "threshold"], ["selected"]),
        ],
        [VALUE("images", PIXELS, ["batch", 3, 32, 32])],
        [
            VALUE("boxes", PIXELS, ["batch", 16, 4]),
            VALUE("scores", PIXELS, ["batch", 2, 16]),
            VALUE("selected", TensorProto.INT64, ["found", 3]),
        ],
        {
            "kernel": random.normal(0, 0.2, (6, 3, 8, 8)).astype("float32"),
            "grid": np.array([0, 6, -1]),
            "parts": np.array([4, 2]),
            "most": np.array([5]),
            "overlap": np.float32([0.5]),
            "threshold": np.float32([0.5]),
        },
    )


def text_reader(path: Path) -> Path:
    """An OCR model of any width: probabilities of 10 characters at each step, (batch, time, classes)."""
    return write_onnx(
        path,
        [
            NODE("Conv", ["x", "kernel"], ["c"], strides=[4, 4]),
            NODE("ReduceMean", ["c"], ["m"], axes=[2], keepdims=0),
            NODE("Transpose", ["m"], ["t"], perm=[0, 2, 1]),
            NODE("Softmax", ["t"], ["y"], axis=-1),
        ],
        [VALUE("x", PIXELS, ["N", 1, 32, "W"])],
        [VALUE("y", PIXELS, ["N", "time", 10])],
        {"kernel": np.random.default_rng(0).normal(0, 1, (10, 1, 4, 4)).astype("float32")},
    )


def segmenter(path: Path, *, axis: int) -> Path:
    """Three maps with channels first, and a softmax over an axis."""
    kernel = np.random.default_rng(0).normal(0, 1, (3, 3, 1, 1)).astype("float32")
    shape = [1, 3, SIDE, SIDE]
    return write_onnx(
        path,
        [NODE("Conv", ["x", "kernel"], ["c"]), NODE("Softmax", ["c"], ["y"], axis=axis)],
        [VALUE("x", PIXELS, shape)],
        [VALUE("y", PIXELS, shape)],
        {"kernel": kernel},
    )


def several_inputs(path: Path) -> Path:
    """An image and two indices; texts chosen by them, and the doubled image in float16."""
    return write_onnx(
        path,
        [
            NODE("Gather", ["words", "index"], ["chosen"], axis=0),
            NODE("Cast", ["photo"], ["half"], to=TensorProto.FLOAT16),
            NODE("Add", ["half", "half"], ["double"]),
        ],
        [VALUE("photo", PIXELS, [1, 3, 4, 4]), VALUE("index", TensorProto.INT64, [1, 2])],
        [VALUE("chosen", TensorProto.STRING, [1, 2]), VALUE("double", TensorProto.FLOAT16, [1, 3, 4, 4])],
        {"words": np.array(["cat", "dog", "\u732b"], object)},
    )
