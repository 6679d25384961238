"""What is exported, and what is then asked of it, by command."""

import json

import numpy as np
import pytest
from PIL import Image

from pocketzoo import export, zoo
from pocketzoo.export.conversion.artifact_files import write_artifacts
from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.targets import GROUPS, TARGETS


@pytest.fixture(scope="module")
def exported(trained_file, digits, tmp_path_factory):
    out = tmp_path_factory.mktemp("exported") / "bundle"
    model = zoo.load_model(trained_file)
    export.export_model(model, out, targets=["int16x8", "openvino"], calibration=digits.train, evaluation=digits.test)
    return out


def test_thresholds_are_set_on_the_command_line(pocketzoo, trained_file, tmp_path):
    out = tmp_path / "out"
    thresholds = ["--threshold", "agreement=0.9", "--bar", "accuracy_drop=0.05"]
    code, printed, err = pocketzoo(
        "export", trained_file, "--out", out, "--targets", "int16x8", "--data", "digits", *thresholds, "--json"
    )
    assert code == 0, err
    gates = {gate["name"]: gate for gate in json.loads(printed)["artifacts"][0]["checks"][0]["gates"]}
    assert [(gates[name]["bar"], gates[name]["default_bar"]) for name in ("agreement", "accuracy drop")] == [
        (0.9, 0.98),
        (0.05, 0.01),
    ]
    for threshold, message in [
        ("agreement", "is not of the form name=number"),
        ("agremeent=1", "did you mean agreement"),
        ("arena_bytes=9", "the threshold arena_bytes is for edge-mcu"),
    ]:
        code, _, err = pocketzoo("export", trained_file, "--out", tmp_path / "no", "--threshold", threshold)
        assert code == 2
        assert message in err


def test_images_have_the_requested_size(pocketzoo, tmp_path):
    model = zoo.create_model("resnet20", blocks=1, classes=10, input_shape=(None, None, 1))
    out = tmp_path / "out"
    command = ["export", zoo.save_model(model, tmp_path / "open.keras"), "--out", out, "--targets", "gpu"]
    size = ["--input-size", "24x20", "--data", "digits", "--keep-float", "head_dense, stem_conv"]
    code, printed, err = pocketzoo(*command, *size, "--json")
    assert code == 0, err
    assert json.loads(printed)["proven_on"] == "evaluation images"
    assert json.loads(printed)["artifacts"][0]["input"]["shape"] == [1, 1, 24, 20]
    code, _, err = pocketzoo(*command, "--data", "no such data")
    assert (code, err) == (2, f"Error: output directory {out} is not empty; overwrite it or name another directory.\n")


def test_artifact_of_variable_size_gets_images_unresized(pocketzoo, tmp_path):
    model = zoo.create_model("resnet20", blocks=1, labels=["a", "b"], input_shape=(None, None, 3))
    form = ExportGraph.from_model(model, open_size=True)
    ((artifact, _),) = write_artifacts(form, [FORMATS["tflite-fp32"]], None, tmp_path)
    images = [tmp_path / "wide.png", tmp_path / "high.png"]
    pixels = [np.random.default_rng(0).integers(0, 256, shape).astype("uint8") for shape in ((24, 40, 3), (36, 20, 3))]
    for path, image in zip(images, pixels, strict=True):
        Image.fromarray(image).save(path)
    code, out, err = pocketzoo("predict", artifact, *images, "--json")
    assert code == 0, err
    for told, image in zip(json.loads(out), pixels, strict=True):
        answer = {one["label"]: one["probability"] for one in told["top"]}
        expected = model(image[None].astype("float32"), training=False).numpy()[0]
        assert [answer["a"], answer["b"]] == pytest.approx(expected.tolist(), abs=1e-5)


def test_targets_are_listed_with_missing_requirements(pocketzoo, monkeypatch):
    monkeypatch.setattr("pocketzoo.export.validation.checks.artifact_check.find_spec", lambda name: None)
    code, out, _ = pocketzoo("targets")
    assert code == 0
    assert all(name in out for name in (*TARGETS, *GROUPS))
    assert "pip install 'pocketzoo[edge]'" in out  # brackets are shown as they are
    rows = {row["target"]: row for row in json.loads(pocketzoo("targets", "--json")[1])}
    assert list(rows) == list(TARGETS)
    assert rows["mobile-cpu"]["missing"].keys() == {"mediapipe"}  # it is missing in tests that are not of clients
    assert rows["mobile-cpu"]["groups"] == ["mobile"]
    assert rows["openvino"]["formats"] == ["onnx-fp32"]
    assert rows["openvino"]["missing"] == {"openvino": "pip install 'pocketzoo[openvino]'"}


def test_converter_that_is_missing_is_named_before_tensorflow_is_imported(pocketzoo, monkeypatch, tmp_path):
    monkeypatch.setattr("pocketzoo.export.targets.find_spec", lambda name: None)
    code, _, err = pocketzoo("export", "lenet5", "--targets", "mobile,apple", "--out", tmp_path / "out")
    message = "coreml-fp16 needs coremltools, which is not installed: pip install 'pocketzoo[apple]'"
    assert (code, err) == (2, f"Error: {message}, or leave out target apple.\n")
    assert not list(tmp_path.iterdir())


def test_artifacts_are_evaluated_and_timed_as_models_are(pocketzoo, exported, trained_file, tmp_path):
    files = [exported / "lenet5-int16x8.tflite", exported / "lenet5-fp32.onnx", trained_file]
    accuracies = []
    for file in files:
        code, out, err = pocketzoo("evaluate", file, "--data", "digits", "--json")
        assert code == 0, err
        accuracies.append(json.loads(out)["accuracy"])
    assert accuracies[1] == accuracies[2]
    assert accuracies[0] == pytest.approx(accuracies[2], abs=0.01)
    assert pocketzoo("evaluate", files[1], "--data", "digits", "--report", tmp_path / "report")[0] == 0
    assert (tmp_path / "report" / "confusion.png").exists()
    _, out, _ = pocketzoo("benchmark", *files, "--runs", 10, "--json")
    rows = json.loads(out)
    assert [row["artifact"] for row in rows] == list(map(str, files))
    assert all(row["runs"] == 10 and row["median_ms"] > 0 for row in rows)


def test_snippet_of_a_bundle_or_a_file_is_printed(pocketzoo, exported):
    code, out, err = pocketzoo("export", exported, "--snippet", "node")
    assert (code, err) == (0, "")
    assert 'InferenceSession.create("lenet5-fp32.onnx")' in out
    code, out, err = pocketzoo("export", exported / "lenet5-int16x8.tflite", "--snippet", "python")
    assert (code, err) == (0, "")
    assert 'astype("int16")' in out
    assert f"```python\n{out}```" in (exported / "README.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("{bundle}", "--snippet", "swfit"), "unknown snippet 'swfit': did you mean swift?"),
        (
            ("{bundle}", "--snippet", "kotlin"),
            "snippet kotlin cannot run {bundle}: its tensor image is int16, which the program",
        ),
        (
            ("{bundle}/lenet5-fp32.onnx", "--snippet", "swift"),
            "it is not a .tflite file. Those that can are python-onnx,",
        ),
        (("lenet5", "--snippet", "swift"), "lenet5 is neither a bundle, which is a folder with manifest.json, nor a"),
        (
            ("{bundle}", "--snippet", "node", "--out", "x", "--targets=edge-mcu"),
            "--snippet prints a program and exports nothing; leave out --out, --targets.",
        ),
        (("lenet5",), "--out is missing: the directory for the bundle."),
    ],
)
def test_snippet_that_cannot_be_printed_is_refused(pocketzoo, exported, arguments, message):
    code, out, err = pocketzoo("export", *(argument.format(bundle=exported) for argument in arguments))
    assert (code, out) == (2, "")
    assert message.format(bundle=exported) in err
