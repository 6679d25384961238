"""Commands on files with several inputs and outputs."""

import json

import keras
import numpy as np
import pytest
from PIL import Image

from pocketzoo.export.conversion.artifact_files import write_artifacts
from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.formats import FORMATS
from pocketzoo.zoo.contract import state_contract


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    photo, age = keras.Input((8, 8, 3), name="photo"), keras.Input((1,), name="age")
    features = keras.layers.Concatenate()([keras.layers.GlobalAveragePooling2D()(photo), age])
    outputs = {"kind": keras.layers.Dense(2, "softmax")(features), "size": keras.layers.Dense(1)(features)}
    model = keras.Model([photo, age], outputs, name="net")
    state_contract(model, task={"size": "regression"}, labels={"kind": ["cat", "dog"]}, report=False)
    folder = tmp_path_factory.mktemp("files")
    ((path, _),) = write_artifacts(ExportGraph.from_model(model), [FORMATS["tflite-fp32"]], None, folder)
    return path


def test_info_lists_every_input_and_output(pocketzoo, file):
    code, out, _ = pocketzoo("info", file)
    assert code == 0
    for words in ("photo: 1x8x8x3", "age: 1x1", "kind: 1x2", "size: 1x1", "task of size", "cat, dog"):
        assert words in out
    assert list(json.loads(pocketzoo("info", file, "--json")[1])["metadata"]["inputs"]) == ["photo", "age"]


def test_predict_says_that_one_image_is_not_enough(pocketzoo, file, tmp_path):
    Image.fromarray(np.zeros((8, 8, 3), "uint8")).save(tmp_path / "black.png")
    code, _, error = pocketzoo("predict", file, tmp_path / "black.png")
    assert code == 2
    assert "has several inputs, photo, age; run it in Python, by pocketzoo.export.predict." in error
    code, _, error = pocketzoo("evaluate", file, "--data", "digits")
    assert code == 2
    assert "takes the inputs photo, age, but files and folders have images alone; evaluate it in Python" in error


def test_benchmark_feeds_every_input(pocketzoo, file):
    code, out, _ = pocketzoo("benchmark", file, "--runs", 3)
    assert code == 0
    assert "net-fp32.tflite" in out
