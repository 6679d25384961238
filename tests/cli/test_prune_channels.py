import json

import pytest

from pocketzoo import training, zoo


@pytest.fixture(scope="module")
def dense_file(tmp_path_factory):
    model = zoo.create_model("resnet20", blocks=1, input_shape=(16, 16, 1), classes=10)
    return zoo.save_model(model, tmp_path_factory.mktemp("dense") / "dense.keras")


def test_channels_are_removed_without_data(pocketzoo, dense_file, tmp_path):
    options = ["--channels", "--budget", "macs:0.5", "--round-to", 4, "--run-dir", tmp_path / "run"]
    code, out, _ = pocketzoo("prune", dense_file, *options)
    assert code == 0
    assert "stage3" in out
    before, after = (zoo.load_model(file).count_params() for file in (dense_file, tmp_path / "run" / "best.keras"))
    assert f"{before:,}" in out
    assert f"{after:,}" in out
    assert after < before
    assert (tmp_path / "run" / "widths.png").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "Missing option '--run-dir'"),
        (["--sparsity", 0.5, "--run-dir", "run"], "No such option"),
        (["--plan", "no.json", "--run-dir", "run"], "no.json cannot be read as a plan"),
        (["--set", "epochs=1", "--run-dir", "run"], "there is no data to train on"),
    ],
)
def test_mistakes_exit_with_2(pocketzoo, dense_file, options, message):
    code, _, err = pocketzoo("prune-channels", dense_file, *options)
    assert code == 2
    assert message in err


def test_results_are_printed_as_json(pocketzoo, dense_file, tmp_path):
    options = ["--budget", "params:0.5", "--criterion", "random", "--json"]
    code, out, _ = pocketzoo("prune-channels", dense_file, *options, "--run-dir", tmp_path / "run")
    assert code == 0
    before, after = (row["footprint"]["artifacts"]["tflite-fp32"] for row in json.loads(out)["comparison"])
    assert after["size"]["bytes"] < before["size"]["bytes"]
    channels = json.loads(out)["channels"]
    assert channels["after"]["parameters"] <= 0.5 * channels["before"]["parameters"]
    plan = training.ChannelPlan(**channels["plan"])
    assert plan == training.ChannelPlan.load(tmp_path / "run" / "plan.json")


def test_edited_plan_is_applied_again(pocketzoo, dense_file, tmp_path):
    plan = training.plan_channels(zoo.load_model(dense_file), budget="macs:0.9")
    name = next(name for name, kept in plan.kept.items() if name.endswith("conv1") or "conv1" in name)
    kept = {**plan.kept, name: [0, 3]}
    file = plan.model_copy(update={"kept": kept}).save(tmp_path / "mine.json")
    code, _, _ = pocketzoo("prune", dense_file, "--channels", "--plan", file, "--run-dir", tmp_path / "run")
    assert code == 0
    assert training.ChannelPlan.load(tmp_path / "run" / "plan.json").kept[name] == [0, 3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--channels", "--sparsity", "0.5"], "--sparsity sets weights to zero; --channels removes channels"),
        (["--budget", "macs:0.5"], "--budget is only valid with --channels"),
        (
            ["--channels", "--plan", "a.json", "--steps", "2"],
            "--plan lists the channels to keep, so --steps has no effect",
        ),
        (["--channels", "--plan", "no.json"], "no.json cannot be read as a plan"),
        (["--channels", "--set", "epochs=1"], "there is no data to train on"),
        (["--channels", "--budget", "macs:0.0001"], "that is the least that can be reached"),
    ],
)
def test_conflicting_options_are_rejected(pocketzoo, dense_file, tmp_path, options, message):
    code, _, err = pocketzoo("prune", dense_file, *options, "--run-dir", tmp_path / "run")
    assert code == 2
    assert message in err
