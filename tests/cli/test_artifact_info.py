import csv
import io
import json
import runpy
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from pocketzoo import export, zoo
from pocketzoo.export.formats import FORMATS


@pytest.fixture(scope="module")
def bundle(trained_file, digits, tmp_path_factory):
    """Of ONNX in floats, TFLite in integers, and a SavedModel."""
    out = tmp_path_factory.mktemp("info") / "out"
    images = {"calibration": digits.train, "evaluation": digits.test}
    export.export_model(zoo.load_model(trained_file), out, targets=["gpu", "edge-tpu", "serving"], **images)
    return out


@pytest.mark.parametrize("file", ["lenet5-int8.tflite", "lenet5-fp32.onnx", "lenet5-fp32.savedmodel"])
def test_info_shows_how_an_artifact_was_made_and_validated(file, bundle, pocketzoo):
    manifest = export.Manifest.load(bundle / "manifest.json")
    _, out, _ = pocketzoo("info", bundle / file)
    assert manifest.model.weights_sha256 in out
    assert "relative difference" in out or "agreement" in out
    facts = json.loads(pocketzoo("info", bundle / file, "--json")[1])
    assert facts["unchanged_since_proof"] is True
    assert facts["metadata"]["making"]["format"] in FORMATS
    assert facts["proof"]["circumstances"]["created"] == manifest.created


def test_directory_is_an_artifact_of_every_command(bundle, pocketzoo, tmp_path):
    path, picture = bundle / "lenet5-fp32.savedmodel", tmp_path / "picture.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32), "uint8")).save(picture)
    files = (path, bundle / "lenet5-fp32.onnx")
    answers = [json.loads(pocketzoo("predict", file, picture, "--json")[1])[0]["top"][0] for file in files]
    assert answers[0]["label"] == answers[1]["label"]
    assert answers[0]["probability"] == pytest.approx(answers[1]["probability"], abs=1e-5)
    code, out, err = pocketzoo("benchmark", path, "--runs", 3, "--json")
    assert code == 0, err
    assert json.loads(out)[0]["median_ms"] > 0
    code, _, err = pocketzoo("export", path, "--out", tmp_path / "out")
    assert (code, err.count("is exported already")) == (2, 1)
    assert pocketzoo("info", tmp_path / "none.savedmodel")[0] == 2


def test_info_reports_a_model_changed_since_validation(bundle, tmp_path, pocketzoo):
    model = onnx.load(bundle / "lenet5-fp32.onnx")
    model.doc_string = "not what was proven"
    onnx.save(model, tmp_path / "changed.onnx")
    assert "yes: the model in the file is not the validated one" in pocketzoo("info", tmp_path / "changed.onnx")[1]
    assert json.loads(pocketzoo("info", tmp_path / "changed.onnx", "--json")[1])["unchanged_since_proof"] is False


def test_text_of_an_artifact_cannot_control_the_terminal(bundle, tmp_path, pocketzoo):
    model = onnx.load(bundle / "lenet5-fp32.onnx")
    (entry,) = (entry for entry in model.metadata_props if entry.key == "pocketzoo")
    metadata = json.loads(entry.value)
    labels = ["\x1b]0;title\x07\x1b[2J", "=1+1", "-1", "\x9b31m", "gpj\u202egnp", "\u200b", "[/x]", "a\nb", "\x7f", "é"]
    entry.value = json.dumps(metadata | {"labels": labels, "model": "\x1b[2Jx"})
    onnx.save(model, tmp_path / "m.onnx")
    picture = tmp_path / "\x1b[2J.png"
    Image.new("L", (32, 32)).save(picture)
    predict = ("predict", tmp_path / "m.onnx", picture, "--top", 10)
    card, table, rows, facts = (
        pocketzoo(*arguments)[1]
        for arguments in (("info", tmp_path / "m.onnx"), predict, (*predict, "--csv"), (*predict, "--json"))
    )
    assert not {"\x1b", "\x07", "\x9b", "\x7f", "\u202e", "\u200b"} & {*card, *table, *rows, *facts}
    for shown in (r"\x1b]0;title\x07", r"\x9b31m", r"gpj\u202egnp", "[/x]", r"a\nb", "é"):
        assert shown in table
    assert {"'=1+1", "-1", "a\nb"} <= {row["label"] for row in csv.DictReader(io.StringIO(rows))}
    assert {row["label"] for row in json.loads(facts)[0]["top"]} == {*labels}
    error = pocketzoo("predict", tmp_path / "m.onnx", tmp_path / "\x1b[2J\nError: fake.png")[2]
    assert error.count("\n") == 1
    assert r"\x1b[2J" in error


def test_weights_that_are_no_numbers_are_reported(bundle, tmp_path, pocketzoo):
    model = onnx.load(bundle / "lenet5-fp32.onnx")
    kernel = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 4)
    kernel.raw_data = np.full(list(kernel.dims), np.nan, "float32").tobytes()
    onnx.save(model, tmp_path / "nan.onnx")
    Image.new("L", (32, 32)).save(tmp_path / "digit.png")
    code, out, error = pocketzoo("predict", tmp_path / "nan.onnx", tmp_path / "digit.png")
    assert (code, out) == (2, "")
    assert "nan.onnx: the model outputs nan, which is not a finite number" in error


def test_bundles_are_compared_with_their_directories(bundle, tmp_path):
    other = shutil.copytree(bundle, tmp_path / "other")
    names = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "compare_bundles.py"))
    assert list(names["differing_models"](bundle, other)) == []
    (other / "lenet5-fp32.savedmodel" / "saved_model.pb").write_bytes(b"")
    (line,) = names["differing_models"](bundle, other)
    assert line.startswith("lenet5-fp32.savedmodel: ")
