import json

import onnx
import pytest

from pocketzoo import export, zoo
from pocketzoo.export.formats import FORMATS


@pytest.fixture(scope="module")
def bundle(trained_file, digits, tmp_path_factory):
    """Of ONNX in floats, and TFLite in integers."""
    out = tmp_path_factory.mktemp("info") / "out"
    images = {"calibration": digits.train, "evaluation": digits.test}
    export.export_model(zoo.load_model(trained_file), out, targets=["gpu", "edge-tpu"], **images)
    return out


@pytest.mark.parametrize("file", ["lenet5-int8.tflite", "lenet5-fp32.onnx"])
def test_info_shows_how_an_artifact_was_made_and_validated(file, bundle, pocketzoo):
    manifest = export.Manifest.load(bundle / "manifest.json")
    _, out, _ = pocketzoo("info", bundle / file)
    assert manifest.model.weights_sha256 in out
    assert "relative difference" in out or "agreement" in out
    facts = json.loads(pocketzoo("info", bundle / file, "--json")[1])
    assert facts["unchanged_since_proof"] is True
    assert facts["metadata"]["making"]["format"] in FORMATS
    assert facts["proof"]["circumstances"]["created"] == manifest.created


def test_info_rejects_files_of_other_tools(bundle, tmp_path, pocketzoo):
    model = onnx.load(bundle / "lenet5-fp32.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "theirs.onnx")
    code, _, error = pocketzoo("info", tmp_path / "theirs.onnx")
    assert code == 2
    assert "theirs.onnx has no pocketzoo metadata: another tool made it" in error


def test_info_reports_a_model_changed_since_validation(bundle, tmp_path, pocketzoo):
    model = onnx.load(bundle / "lenet5-fp32.onnx")
    model.doc_string = "not what was proven"
    onnx.save(model, tmp_path / "changed.onnx")
    assert "yes: the model in the file is not the validated one" in pocketzoo("info", tmp_path / "changed.onnx")[1]
    assert json.loads(pocketzoo("info", tmp_path / "changed.onnx", "--json")[1])["unchanged_since_proof"] is False
