"""Distillation, compression in stages, and advice on it."""

import json
import re
from types import SimpleNamespace

import pytest
from PIL import Image

from pocketzoo import training, zoo
from pocketzoo.cli.distill import endpoint_pairs
from pocketzoo.training.compression.pipeline.compress import SETTINGS
from pocketzoo.training.engine.callbacks.run_recorder import RunRecorder

BRIEF = ["--set", "epochs=1", "--set", "batch_size=45"]


@pytest.fixture(scope="module")
def table(digits, tmp_path_factory):
    """A few real digits in files."""
    root = tmp_path_factory.mktemp("table")
    images, labels = digits.train.arrays()
    for number, image in enumerate(images[:150]):
        Image.fromarray(image[:, :, 0]).save(root / f"{number}.png")
    lines = ["image,label", *(f"{number}.png,{label}" for number, label in enumerate(labels[:150]))]
    (root / "table.csv").write_text("\n".join(lines))
    return root / "table.csv"


class StoppedHereError(Exception):
    pass


def test_student_is_distilled_and_compared_with_its_teacher(pocketzoo, trained_file, table, tmp_path):
    run = tmp_path / "run"
    arguments = ["distill", "lenet5", trained_file, "--data", table, *BRIEF, "--features", "stage1", "--run-dir", run]
    code, out, err = pocketzoo(*arguments)
    assert code == 0, err
    assert re.search(r"model +accuracy +parameters +nonzero +multiply-adds .* LiteRT ms +ONNX Runtime ms", out)
    assert re.search(r"teacher lenet5 +\d+\.\d\d% +61,706 +", out)
    assert f"Model: {run / 'best.keras'}" in out
    code, out, err = pocketzoo(*arguments, "--resume", "--json")
    assert code == 0, err
    teacher, student = json.loads(out)["comparison"]
    kept = training.evaluate(zoo.load_model(run / "best.keras"), training.load_data(table, image_size=32, channels=1))
    assert student["test"]["accuracy"] == kept.accuracy
    assert teacher["footprint"]["artifacts"]["tflite-fp32"]["median_ms"] > 0
    _, _, err = pocketzoo("distill", "lenet5", trained_file, "--data", table, "--run-dir", run / "new", "--weight", 2)
    assert "weight: must be less than or equal to 1 (got 2.0)" in err


def test_endpoints_on_the_command_line():
    assert endpoint_pairs(None) == {}
    assert endpoint_pairs("stage1, stage2=stage3") == {"stage1": "stage1", "stage2": "stage3"}
    for wrong in ("stage1,,stage2", "=stage1", "stage1="):
        with pytest.raises(zoo.InputError, match="is not a list of endpoints"):
            endpoint_pairs(wrong)


SPEC = """
distillation: {weight: 0.5, recipe: {epochs: 1, batch_size: 45}}
sparsity: {target: 0.8, recipe: {epochs: 2, batch_size: 45}}
export: {targets: [gpu]}
"""


@pytest.fixture
def epochs(monkeypatch):
    """Stage and number of every epoch that is trained; training stops after one that is named in `stop`."""
    trained, stop, keep = [], set(), RunRecorder.on_epoch_end

    def on_epoch_end(self, epoch, logs=None):
        keep(self, epoch, logs)
        trained.append((self._run.path.name, epoch + 1))
        if trained[-1] in stop:
            raise StoppedHereError

    monkeypatch.setattr(RunRecorder, "on_epoch_end", on_epoch_end)
    return SimpleNamespace(trained=trained, stop=stop)


def test_interrupted_compression_resumes(pocketzoo, trained_file, table, tmp_path, epochs):
    spec, run = tmp_path / "spec.yaml", tmp_path / "run"
    spec.write_text(SPEC)
    arguments = ["compress", trained_file, "--data", table, "--spec", spec, "--run-dir", run]
    epochs.stop.add(("3-sparsity", 1))
    assert pocketzoo(*arguments)[0] == 1
    assert epochs.trained == [("2-distillation", 1), ("3-sparsity", 1)]
    code, _, err = pocketzoo(*arguments)
    assert code == 2
    assert "is not empty; resume the compression, overwrite it, or name another directory" in err
    code, out, err = pocketzoo(*arguments, "--resume", "--json")
    assert code == 0, err
    facts = json.loads(out)
    assert epochs.trained[2:] == [("3-sparsity", 2)]
    assert facts["model"] == str(run / "3-sparsity.keras")
    assert [row["model"] for row in facts["comparison"]] == ["dense", "distillation", "sparsity"]
    dense, _, sparse = (row["footprint"] for row in facts["comparison"])
    assert sparse["nonzero"] < 0.5 * dense["nonzero"]
    assert facts["bundle"]["sparsity"] == pytest.approx(1 - sparse["nonzero"] / sparse["parameters"], abs=0.02)
    assert {path.name for path in run.iterdir()} >= {"bundle", "comparison.json", "comparison.png"}
    spec.write_text(SPEC.replace("0.8", "0.7"))
    assert "another compression: spec.sparsity.target was 0.8, is 0.7" in pocketzoo(*arguments, "--resume")[2]
    epochs.stop.add(("2-distillation", 1))
    assert pocketzoo(*arguments, "--overwrite")[0] == 1
    assert sorted(path.name for path in run.iterdir()) == ["2-distillation", SETTINGS]


def test_unknown_target_is_reported_before_anything_is_loaded(pocketzoo, tmp_path):
    (tmp_path / "spec.yaml").write_text("export: {targets: [mobil]}")
    arguments = ["--data", "digits", "--spec", tmp_path / "spec.yaml", "--run-dir", tmp_path / "run"]
    assert "unknown target 'mobil': did you mean mobile" in pocketzoo("compress", "no-such.keras", *arguments)[2]
    assert "unknown target 'phone'" in pocketzoo("advise", "lenet5", "--target", "phone")[2]


def test_advice_is_measured(pocketzoo, trained_file, tmp_path):
    net = zoo.save_model(zoo.create_model("resnet20", blocks=1, input_shape=(16, 16, 1)), tmp_path / "net.keras")
    code, out, err = pocketzoo("advise", net, "--target", "web", "--json")
    assert code == 0, err
    facts = json.loads(out)
    ways = {way["way"]: way for way in facts["ways"]}
    assert ways["80% zeros"]["bytes"] == pytest.approx(facts["as it is"]["size"]["bytes"], rel=0.01)
    assert ways["80% zeros"]["times_smaller"] > 1.8
    assert ways["int8"]["times_smaller"] > 2
    assert ways["half the channels"]["bytes"] < 0.6 * facts["as it is"]["size"]["bytes"]
    code, out, err = pocketzoo("advise", trained_file, "--target", "server")
    assert code == 0
    assert "Not measured: half the channels: the budget is macs:" in err
    assert re.search(r"method +kB +gzipped +ms +advice", out)
