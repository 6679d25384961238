import json
import re

import numpy as np
import pytest
import yaml

from pocketzoo import zoo

BRIEF = ["--data", "digits", "--set", "epochs=1", "--set", "batch_size=120"]


def test_sensitivity_writes_settings_for_pruning(pocketzoo, trained_file, tmp_path):
    settings = tmp_path / "settings.yaml"
    scan = ["prune", trained_file, "--data", "digits", "--sparsity", 0.7, "--sensitivity", settings]
    code, out, err = pocketzoo(*scan)
    assert code == 0, err
    assert re.search(r"lenet5: accuracy on \d+ validation images, dense 9\d\.\d\d%", out)
    assert re.search(r"dense1 +48,000( +\d+\.\d\d%){5} +\d+\.\d%", out)
    proposed = yaml.safe_load(settings.read_text())
    assert set(proposed["layers"]) == {"stage2_conv_conv", "dense1", "dense2"}
    facts = json.loads(pocketzoo(*scan, "--json")[1])
    assert facts["proposal"]["layers"] == proposed["layers"]
    run = tmp_path / "run"
    code, out, err = pocketzoo("prune", trained_file, *BRIEF, "--settings", settings, "--run-dir", run, "--json")
    assert code == 0, err
    facts = json.loads(out)
    assert facts["run"]["sparsity"] == pytest.approx(0.7, abs=1e-3)
    before, after = facts["comparison"]
    assert after["footprint"]["nonzero"] < before["footprint"]["nonzero"]
    kernel = zoo.load_model(run / "best.keras").get_layer("dense1").kernel.numpy()
    assert np.mean(kernel == 0) == pytest.approx(proposed["layers"]["dense1"], abs=1e-3)


def test_pattern_and_layers_on_the_command_line(pocketzoo, trained_file, tmp_path):
    options = ["--pattern", "2:4", "--include", "dense*", "--exclude", "dense2", "--run-dir", tmp_path / "run"]
    code, out, err = pocketzoo("prune", trained_file, *BRIEF, *options)
    assert code == 0, err
    assert "lenet5, 50.0% zeros in the pruned kernels" in out
    assert re.search(r"after +\d+\.\d\d% +61,706 +37,\d\d\d ", out)
    kernel = zoo.load_model(tmp_path / "run" / "best.keras").get_layer("dense1").kernel.numpy()
    assert (np.count_nonzero(kernel.reshape(-1, 4, 120), axis=1) == 2).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--run-dir is missing: the directory for the files of the run"),
        (["--sparsity", 1.5, "--run-dir", "run"], "sparsity: target: must be less than 1"),
        (["--pattern", "3", "--run-dir", "run"], "sparsity: pattern: must be element, block:HxW"),
        (["--include", "conv9*", "--run-dir", "run"], "unknown layer in include 'conv9*'"),
        (["--settings", "nowhere.yaml", "--run-dir", "run"], "nowhere.yaml cannot be read as a pruning setting"),
    ],
)
def test_mistakes_are_reported_in_a_sentence(pocketzoo, trained_file, options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = pocketzoo("prune", trained_file, *BRIEF, *options)
    assert code == 2
    assert message in err
    assert not (tmp_path / "run").exists()
