"""Distillation, the whole of compression, and what is advised before it."""

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from pocketzoo import training, zoo
from pocketzoo.cli import stages
from pocketzoo.cli.advise import TARGETS, Way, judge, with_zeros
from pocketzoo.cli.comparison import compare
from pocketzoo.cli.compression_spec import Spec
from pocketzoo.cli.distill import endpoint_pairs
from pocketzoo.export.footprint import ArtifactCost, FileSize
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


def test_student_is_taught_and_compared_with_its_teacher(pocketzoo, trained_file, table, tmp_path):
    run = tmp_path / "run"
    arguments = ["distill", "lenet5", trained_file, "--data", table, *BRIEF, "--features", "stage1", "--run-dir", run]
    code, out, err = pocketzoo(*arguments)
    assert code == 0, err
    assert re.search(r"model +accuracy +parameters +not zero +multiply-adds .* LiteRT ms +ONNX Runtime ms", out)
    assert re.search(r"teacher lenet5 +\d+\.\d\d% +61,706 +", out)
    assert f"Model: {run / 'best.keras'}" in out
    code, out, err = pocketzoo(*arguments, "--resume", "--json")
    assert code == 0, err
    teacher, student = json.loads(out)["comparison"]
    kept = training.evaluate(zoo.load_model(run / "best.keras"), training.load_data(table, image_size=32, channels=1))
    assert student["test"]["accuracy"] == kept.accuracy
    assert teacher["footprint"]["artifacts"]["tflite-fp32"]["median_ms"] > 0
    _, _, err = pocketzoo("distill", run / "best.keras", trained_file, "--data", table, "--run-dir", run, "--weight", 2)
    assert "weight is 2.0; it takes 0 to 1" in err


def test_endpoints_on_the_command_line():
    assert endpoint_pairs(None) == {}
    assert endpoint_pairs("stage1, stage2=stage3") == {"stage1": "stage1", "stage2": "stage3"}
    for wrong in ("stage1,,stage2", "=stage1", "stage1="):
        with pytest.raises(zoo.InputError, match="is no list of endpoints"):
            endpoint_pairs(wrong)


def test_comparison_is_kept_as_facts_and_as_a_picture(digits, trained, tmp_path):
    comparison = compare({"one": trained, "the same": trained}, digits)
    comparison.write(tmp_path / "comparison")
    facts = json.loads((tmp_path / "comparison.json").read_text())
    assert facts == json.loads(json.dumps(comparison.to_dict()))
    assert [row["model"] for row in facts] == ["one", "the same"]
    assert facts[0]["test"] == facts[1]["test"]
    assert (tmp_path / "comparison.png").read_bytes().startswith(b"\x89PNG")


def test_models_that_cannot_be_exported_are_compared_by_what_they_answer(digits, tmp_path, capsys):
    tasks = {"parity": "classification", "ink": "regression"}

    def asked(split):
        images, labels = split.arrays()
        return replace(split, labels={"parity": labels % 2, "ink": images.mean(axis=(1, 2)).astype("float32")})

    labels = {"parity": ("even", "odd"), "ink": ("ink",)}
    splits = {name: asked(getattr(digits, name)) for name in ("train", "validation", "test")}
    data = replace(digits, task=tasks, labels=labels, **splits)
    comparison = compare({"fresh": zoo.create_model("lenet5", head=tasks, labels=labels)}, data)
    comparison.show("Both")
    out, err = capsys.readouterr()
    assert "Sizes and latencies are not compared: lenet5 gives answers by name, parity, ink" in err
    assert re.search(r"model +parity accuracy +ink mean absolute error", out)
    comparison.write(tmp_path / "comparison")
    assert [path.name for path in tmp_path.iterdir()] == ["comparison.json"]


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


def test_interrupted_compression_goes_on_where_it_was(pocketzoo, trained_file, table, tmp_path, epochs):
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
    assert "belongs to another compression: spec.sparsity differs" in pocketzoo(*arguments, "--resume")[2]
    epochs.stop.add(("2-distillation", 1))
    assert pocketzoo(*arguments, "--overwrite")[0] == 1
    assert sorted(path.name for path in run.iterdir()) == ["2-distillation", stages.SETTINGS]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sparsity: {include: [nope*]}", "nope"),
        ("distillation: {features: [stage9]}", "unknown endpoint of lenet5 'stage9'"),
        ("sparsity: {recipe: {initializer: he_normal}}", "sparsity.recipe.initializer is 'he_normal'"),
        ("quantization: {recipe: {precision: mixed_bfloat16}}", "precision is 'mixed_bfloat16'"),
    ],
)
def test_what_a_later_stage_would_refuse_is_told_before_any_begins(trained, text, message, tmp_path):
    (tmp_path / "spec.yaml").write_text(text)
    with pytest.raises(zoo.InputError, match=message):
        stages.check_stages(Spec.load(tmp_path / "spec.yaml"), trained)


def test_zeros_are_advised_where_they_would_be_set(trained):
    before, sparse = zoo.flatten_model(trained), zoo.flatten_model(with_zeros(trained, 0.8))
    for name in ("stage1_conv_conv", "head_dense"):  # the first and the last stay dense
        np.testing.assert_array_equal(sparse.get_layer(name).kernel, before.get_layer(name).kernel)
    assert np.mean(sparse.get_layer("dense1").kernel.numpy() == 0) == pytest.approx(0.8, abs=1e-3)


def test_folder_that_is_no_compression_is_never_overwritten(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(zoo.InputError, match="is not empty"):
        stages.open_folder(tmp_path, {}, resume=False, overwrite=True)
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_section_that_says_nothing_has_its_defaults(tmp_path):
    (tmp_path / "spec.yaml").write_text("channels:\nexport:\n")
    spec = Spec.load(tmp_path / "spec.yaml")
    assert (spec.channels.budget, spec.export.targets) == ("macs:0.5", ("edge",))
    assert spec.sparsity is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "spec: no stage is given; there are channels, distillation, sparsity, clusters, quantization, export"),
        ("chanels: {}", "unknown field 'chanels': did you mean channels"),
        ("channels: {buget: 'macs:0.5'}", "channels.buget: unknown field 'buget': did you mean budget"),
        ("distillation: {weight: 2}", r"distillation.weight: must be less than or equal to 1 \(got 2\)"),
        ("sparsity: {target: 1}", r"spec: sparsity.target: must be less than 1 \(got 1\)"),
        ("quantization: {activation_bits: 4}", r"quantization.activation_bits: "),
        ("distillation: {recipe: {epoch: 3}}", "distillation.recipe.epoch: unknown field 'epoch': did you mean epochs"),
        ("- channels", "is not a compression spec: a compression spec consists of `field: value` lines"),
    ],
)
def test_mistakes_in_a_spec_are_named(tmp_path, text, message):
    (tmp_path / "spec.yaml").write_text(text)
    with pytest.raises(zoo.InputError, match=message):
        Spec.load(tmp_path / "spec.yaml")


def test_unknown_target_is_told_before_anything_is_loaded(pocketzoo, tmp_path):
    (tmp_path / "spec.yaml").write_text("export: {targets: [mobil]}")
    arguments = ["--data", "digits", "--spec", tmp_path / "spec.yaml", "--run-dir", tmp_path / "run"]
    assert "unknown target 'mobil': did you mean mobile" in pocketzoo("compress", "no-such.keras", *arguments)[2]
    assert "unknown target 'phone'" in pocketzoo("advise", "lenet5", "--target", "phone")[2]


@pytest.mark.parametrize(
    ("target", "size", "gzipped", "ms", "advice"),
    [
        ("mobile", 100, 25, 25, r"Pays: 4.0 times as fast and 4.0 times smaller to download. do it"),
        ("mobile", 100, 25, 100, r"Pays in size only: 4.0 times smaller to download, no faster. do it"),
        ("mobile", 100, 25, 200, r"Pays in size only: 4.0 times smaller to download, but 2.0 times as slow. do it"),
        ("edge", 100, 25, 100, r"Does not pay here: no faster, no smaller."),
        ("edge", 50, 50, 100, r"Pays in size only: 2.0 times smaller in flash, no faster. do it"),
        ("server", 50, 25, 100, r"Does not pay here: no faster."),
        ("server", 50, 25, 200, r"Does not pay here: 2.0 times as slow."),
        ("server", 50, 25, 50, r"Pays: 2.0 times as fast. do it"),
    ],
)
def test_advice_goes_by_what_counts_on_the_target(target, size, gzipped, ms, advice):
    base, cost = ArtifactCost(FileSize(100, 100), 100.0), ArtifactCost(FileSize(size, gzipped), float(ms))
    assert judge(Way("", None, None, "do it"), base, cost, TARGETS[target]).advice == advice


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
    assert "Half the channels is not tried: the budget is macs:" in err
    assert re.search(r"way +kB +gzipped +ms +advice", out)
