import json

import pytest

from pocketzoo import training, zoo


@pytest.fixture(scope="module")
def dense_file(tmp_path_factory):
    model = zoo.create_model("resnet20", blocks=1, input_shape=(16, 16, 1), classes=10)
    return zoo.save_model(model, tmp_path_factory.mktemp("dense") / "dense.keras")


def test_channels_go_without_data(pocketzoo, dense_file, tmp_path):
    options = ["--channels", "--budget", "macs:0.5", "--round-to", 4, "--run-dir", tmp_path / "run"]
    code, out, _ = pocketzoo("prune", dense_file, *options)
    assert code == 0
    assert "stage3" in out
    before, after = (zoo.load_model(file).count_params() for file in (dense_file, tmp_path / "run" / "best.keras"))
    assert f"{before:,}" in out
    assert f"{after:,}" in out
    assert after < before
    assert (tmp_path / "run" / "widths.png").exists()


def test_facts_are_told_to_programs(pocketzoo, dense_file, tmp_path):
    options = ["--channels", "--budget", "params:0.5", "--criterion", "random", "--json"]
    code, out, _ = pocketzoo("prune", dense_file, *options, "--run-dir", tmp_path / "run")
    assert code == 0
    channels = json.loads(out)["channels"]
    assert channels["after"]["parameters"] <= 0.5 * channels["before"]["parameters"]
    plan = training.ChannelPlan(**channels["plan"])
    assert plan == training.ChannelPlan.load(tmp_path / "run" / "plan.json")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--channels", "--sparsity", "0.5"], "--sparsity sets weights to zero; --channels removes channels"),
        (["--budget", "macs:0.5"], "--budget goes with --channels"),
        (["--channels", "--set", "epochs=1"], "there is no data to train on"),
        (["--channels", "--budget", "macs:0.0001"], "that is the least that can be reached"),
    ],
)
def test_options_that_do_not_go_together_are_refused(pocketzoo, dense_file, tmp_path, options, message):
    code, _, err = pocketzoo("prune", dense_file, *options, "--run-dir", tmp_path / "run")
    assert code == 2
    assert message in err
