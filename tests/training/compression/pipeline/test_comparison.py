import json
import re
from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from pocketzoo import export, training, zoo


def test_comparison_is_written_as_json_and_plot(digits, trained, tmp_path):
    comparison = training.compare_models(
        {"one": trained, "the same": trained}, digits, measure=export.measure_footprints
    )
    comparison.write(tmp_path / "comparison")
    facts = json.loads((tmp_path / "comparison.json").read_text())
    assert facts == json.loads(json.dumps(comparison.to_dict()))
    assert [row["model"] for row in facts] == ["one", "the same"]
    assert facts[0]["test"] == facts[1]["test"]
    assert (tmp_path / "comparison.png").read_bytes().startswith(b"\x89PNG")


def test_models_that_cannot_be_exported_are_compared_by_accuracy(digits, tmp_path):
    image = keras.Input((32, 32, 1))
    in_python = layers.Lambda(lambda maps: tf.ensure_shape(tf.numpy_function(np.sin, [maps], "float32"), maps.shape))
    maps = in_python(layers.Conv2D(2, 3, strides=8)(layers.Rescaling(1 / 255)(image)))
    model = keras.Model(image, layers.Dense(10, activation="softmax")(layers.Flatten()(maps)))
    comparison = training.compare_models({"sine": model}, digits, measure=export.measure_footprints)
    assert re.search("lambda.* computes PyFunc", comparison.not_measured)
    assert list(comparison.models[0].headlines) == ["accuracy"]
    comparison.write(tmp_path / "comparison")
    assert [path.name for path in tmp_path.iterdir()] == ["comparison.json"]


def test_models_with_several_outputs_are_compared_and_measured(digits, tmp_path):
    tasks = {"parity": "classification", "ink": "regression"}

    def asked(split):
        images, labels = split.arrays()
        return replace(split, labels={"parity": labels % 2, "ink": images.mean(axis=(1, 2)).astype("float32")})

    labels = {"parity": ("even", "odd"), "ink": ("ink",)}
    splits = {name: asked(getattr(digits, name)) for name in ("train", "validation", "test")}
    data = replace(digits, task=tasks, labels=labels, **splits)
    comparison = training.compare_models(
        {"fresh": zoo.create_model("lenet5", head=tasks, labels=labels)}, data, measure=export.measure_footprints
    )
    assert comparison.not_measured is None
    assert list(comparison.models[0].headlines) == ["parity accuracy", "ink mean absolute error"]
    assert comparison.models[0].cost("tflite").median_ms > 0
    comparison.write(tmp_path / "comparison")
    assert {path.name for path in tmp_path.iterdir()} == {"comparison.json", "comparison.png"}


def test_comparison_without_data_or_measurements(trained, tmp_path):
    comparison = training.compare_models({"one": trained}, measure=export.measure_footprints)
    assert comparison.models[0].headlines == {}
    assert comparison.models[0].cost("onnx").median_ms > 0
    comparison.write(tmp_path / "comparison")
    assert [path.name for path in tmp_path.iterdir()] == ["comparison.json"]
    (model,) = training.compare_models({"one": trained}).to_dict()
    assert model == {"model": "one", "test": None, "footprint": None}
