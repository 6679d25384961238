import json
import re
import shutil
import subprocess
import sys

import keras
import pytest
from PIL import Image

from pocketzoo import export, training, zoo
from pocketzoo.cli.quickstart import TARGETS
from pocketzoo.export.targets import formats_of, targets_of


@pytest.fixture(scope="module")
def folder(digits, tmp_path_factory):
    """Real digits 0, 1 and 2 as a folder of PNG files by class."""
    root = tmp_path_factory.mktemp("photos")
    images, labels = digits.train.arrays()
    for label, name in enumerate(("zero", "one", "two")):
        (root / name).mkdir()
        for number, image in enumerate(images[labels == label][:30]):
            Image.fromarray(image[:, :, 0]).save(root / name / f"{number:02}.png")
    return root


def test_interrupted_command_mentions_resume(pocketzoo, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("pocketzoo.zoo.registry.list_models", interrupted)
    assert pocketzoo("list") == (130, "", "Interrupted. Add --resume to continue a run with --run-dir.\n")


def test_all_steps_on_a_folder_of_images(pocketzoo, folder, tmp_path):
    """Train, evaluate, prune, export, predict and benchmark, each by its command, on what the one before left."""
    brief = ["--data", folder, "--set", "epochs=12", "--set", "batch_size=8", "--json"]
    code, out, _ = pocketzoo("train", "lenet5", *brief, "--run-dir", tmp_path / "train")
    assert code == 0
    trained = json.loads(out)
    assert trained["test"]["accuracy"] >= 0.9
    code, out, _ = pocketzoo("evaluate", trained["model"], "--data", folder, "--json")
    assert json.loads(out) == trained["test"]
    code, out, _ = pocketzoo("prune", trained["model"], *brief, "--sparsity", 0.6, "--run-dir", tmp_path / "prune")
    assert json.loads(out)["run"]["sparsity"] == pytest.approx(0.6, abs=1e-3)
    bundle = tmp_path / "bundle"
    code, out, _ = pocketzoo(
        "export",
        tmp_path / "prune" / "best.keras",
        "--out",
        bundle,
        "--targets",
        "mobile,gpu",
        "--data",
        folder,
        "--json",
    )
    assert code == 0
    # The first and the last kernel, of 150 and 252 weights, stay dense.
    assert json.loads(out)["sparsity"] == pytest.approx(0.6 * 60_480 / (150 + 60_480 + 252), abs=1e-3)
    images = [folder / "two" / "05.png", folder / "zero" / "07.png"]
    code, out, _ = pocketzoo("predict", bundle / "lenet5-fp16.tflite", *images, "--json")
    assert [answer["top"][0]["label"] for answer in json.loads(out)] == ["two", "zero"]
    code, out, _ = pocketzoo("benchmark", *bundle.glob("*.onnx"), "--runs", 3, "--json")
    assert [row["runs"] for row in json.loads(out)] == [3, 3]


@pytest.mark.parametrize("by_name", [True, False])
def test_model_is_adapted_to_a_folder_of_other_classes(pocketzoo, folder, trained_file, tmp_path, by_name):
    run = tmp_path / "run"
    source = ["lenet5", "--weights", trained_file] if by_name else [trained_file]
    changes = ["mode=feature_extraction", "head_epochs=8", "head_lr=0.02", "batch_size=8"]
    options = [part for change in changes for part in ("--set", change)]
    code, out, err = pocketzoo("fine-tune", *source, "--data", folder, "--run-dir", run, *options, "--json")
    assert code == 0
    facts = json.loads(out)
    assert facts["test"]["accuracy"] >= 0.9
    assert [phase["epochs"] for phase in facts["run"]["phases"]] == [8]
    assert re.search(r"stage2 +2,416 +0 ", err)
    best = zoo.load_model(facts["model"])
    assert best.get_layer("head").labels == ["one", "two", "zero"]
    before, after = (
        zoo.feature_extractor(model, "stage2").get_weights() for model in (zoo.load_model(trained_file), best)
    )
    assert all((a == b).all() for a, b in zip(before, after, strict=True))


def test_adapted_model_and_its_artifact_agree_on_images_and_labels(pocketzoo, folder, trained_file, tmp_path):
    run, bundle = tmp_path / "run", tmp_path / "bundle"
    brief = ["--set", "head_epochs=2", "--set", "epochs=2"]
    assert pocketzoo("fine-tune", trained_file, "--data", folder, "--run-dir", run, *brief)[0] == 0
    export_ = ["export", run / "best.keras", "--out", bundle, "--targets", "mobile", "--data", folder]
    assert pocketzoo(*export_)[0] == 0
    images = [folder / name / f"{number:02}.png" for name in ("zero", "one", "two") for number in range(5)]
    of_artifact, of_model = (
        json.loads(pocketzoo("predict", source, *images, "--top", 1, "--json")[1])
        for source in (bundle / "lenet5-fp32.tflite", run / "best.keras")
    )
    for answer, expected in zip(of_artifact, of_model, strict=True):
        assert answer["top"][0]["label"] == expected["top"][0]["label"] in ("zero", "one", "two")
        assert answer["top"][0]["probability"] == pytest.approx(expected["top"][0]["probability"], abs=1e-4)


def test_model_by_name_predicts_with_the_shipped_weights(pocketzoo, folder):
    images = [folder / name / "00.png" for name in ("zero", "one", "two")]
    code, out, _ = pocketzoo("--offline", "predict", "lenet5", *images, "--top", 1, "--json")
    assert code == 0
    assert [answer["top"][0]["label"] for answer in json.loads(out)] == ["0", "1", "2"]


def test_model_without_published_weights_says_so(pocketzoo, folder):
    code, _, err = pocketzoo("predict", "resnet56", folder / "zero" / "00.png")
    assert code == 2
    assert "resnet56 has no published weights" in err


def test_results_are_tables_without_json(pocketzoo, folder, trained_file, tmp_path):
    _, out, _ = pocketzoo("evaluate", trained_file, "--data", "digits")
    assert re.search(r"Accuracy \d+\.\d\d% .* on 360 images", out)
    _, out, _ = pocketzoo("export", trained_file, "--out", tmp_path / "out", "--targets", "mobile")
    assert re.search(r"lenet5-fp32\.tflite +25\d,\d{3}", out)
    _, out, _ = pocketzoo("predict", tmp_path / "out" / "lenet5-fp32.tflite", folder / "one" / "00.png", "--top", 2)
    assert out.count("00.png") == 2


def test_unreadable_images_stop_or_are_listed(pocketzoo, folder, trained_file, tmp_path):
    photos = tmp_path / "photos"
    shutil.copytree(folder, photos)
    (photos / "one" / "03.png").write_bytes(b"broken")
    arguments = ("train", "lenet5", "--data", photos, "--set", "epochs=1", "--run-dir", tmp_path / "run")
    code, _, err = pocketzoo(*arguments)
    assert code == 2
    assert "1 of 90 images cannot be read" in err
    assert "--skip-unreadable" in err
    code, _, err = pocketzoo(*arguments, "--skip-unreadable")
    assert code == 0
    assert "03.png" in err
    assert "1 images skipped" in err


def test_run_continues_with_resume_and_is_replaced_with_overwrite(pocketzoo, folder, tmp_path):
    arguments = ("train", "lenet5", "--data", folder, "--set", "epochs=2", "--run-dir", tmp_path / "run", "--json")
    first = json.loads(pocketzoo(*arguments)[1])
    code, _, err = pocketzoo(*arguments)
    assert (code, "is not empty" in err) == (2, True)
    assert json.loads(pocketzoo(*arguments, "--resume")[1])["test"] == first["test"]
    assert json.loads(pocketzoo(*arguments, "--overwrite")[1])["test"] == first["test"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["info", "lenet"], "unknown model 'lenet': did you mean lenet5"),
        (["train", "lenet6", "--data", "digits", "--run-dir", "run"], "unknown model 'lenet6'"),
        (["train", "lenet5", "--data", "nowhere", "--run-dir", "run"], "neither a folder"),
        (["train", "lenet5", "--data", "digits", "--run-dir", "run", "--set", "epoch=3"], "epoch: unknown field"),
        (
            ["train", "lenet5", "--data", "digits", "--run-dir", "run", "--set", "epochs"],
            "is not of the form field=value",
        ),
        (["train", "lenet5", "--data", "digits", "--run-dir", "run", "--set", "epochs=["], "is not a YAML value"),
        (["train", "lenet5", "--data", "digits", "--run-dir", "run", "--recipe", "no.yaml"], "no.yaml cannot be read"),
        (
            ["train", "lenet5", "--data", "digits", "--run-dir", "run", "--image-size", "9"],
            "minimum height and width are 16",
        ),
        (["evaluate", "none.keras", "--data", "digits"], "there is no such file"),
        (["evaluate", "garbage.keras", "--data", "digits"], "is not a .keras model file"),
        (["prune", "garbage.keras", "--data", "digits", "--run-dir", "run"], "is not a .keras model file"),
        (["fine-tune", "garbage.keras", "--data", "digits", "--run-dir", "run"], "is not a .keras model file"),
        (["fine-tune", "lenet6", "--data", "digits", "--run-dir", "run"], "unknown model 'lenet6'"),
        (
            ["fine-tune", "garbage.keras", "--weights", "digits", "--data", "digits", "--run-dir", "run"],
            "has its own weights",
        ),
        (
            ["fine-tune", "lenet5", "--data", "digits", "--run-dir", "run", "--set", "mode=all"],
            "mode: unknown value",
        ),
        (["export", "garbage.keras", "--out", "out", "--targets", "moon"], "unknown target 'moon'"),
        (["export", "garbage.keras", "--out", "out", "--targets", ","], "no targets"),
        (["export", "garbage.keras", "--out", "out"], "is not a .keras model file"),
        (["predict", "garbage.tflite", "garbage.png"], "cannot be opened as a model"),
        (["predict", "garbage.png", "garbage.png"], "must end in .tflite, .onnx or .keras"),
        (["predict", "lenet6", "garbage.png"], "unknown model 'lenet6': did you mean lenet5"),
        (["predict", "garbage.tflite", "garbage.png", "--weights", "digits"], "has its own weights"),
        (["benchmark", "garbage.onnx"], "cannot be opened as a model"),
        (["fly"], "No such command 'fly'"),
        (["list", "--color"], "No such option"),
    ],
)
def test_user_mistakes_are_one_sentence_and_exit_code_2(pocketzoo, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("garbage.keras", "garbage.tflite", "garbage.onnx", "garbage.png"):
        (tmp_path / name).write_bytes(b"garbage")
    before = sorted(tmp_path.iterdir())
    code, out, err = pocketzoo(*arguments)
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert out == ""
    assert sorted(tmp_path.iterdir()) == before


def test_diverging_run_stops_with_the_step_and_exit_code_2(pocketzoo, folder, tmp_path):
    changes = ["optimizer={name: nesterov, lr: 1e4, weight_decay: 1e4}", "schedule={warmup_epochs: 0}"]
    options = [part for change in changes for part in ("--set", change)]
    code, _, err = pocketzoo("train", "lenet5", "--data", folder, "--run-dir", tmp_path / "run", *options)
    assert code == 2
    assert re.search(r"the loss became nan in epoch \d+, step \d+", err)


def test_artifact_that_fails_validation_exits_with_1(pocketzoo, trained_file, tmp_path, monkeypatch):
    from pocketzoo.export.artifact.manifest import Check, Gate

    def failing(*arguments, **options):
        return Check(name="LiteRT", gates=(Gate.measured("agreement", 0.5, ">=", 0.9),))

    monkeypatch.setattr("pocketzoo.export.validation.runner.run_check", failing)
    code, _, err = pocketzoo("export", trained_file, "--out", tmp_path / "out")
    assert code == 1
    assert "agreement is 0.5, must be >= 0.9" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_quickstart_validates_every_artifact_and_writes_a_digit_to_predict(pocketzoo, tmp_path):
    out = tmp_path / "quickstart"
    code, printed, _ = pocketzoo("quickstart", "--fast", "--out", out, "--json")
    facts = json.loads(printed)
    assert code == 0
    assert {check["status"] for check in facts["checks"]} == {"passed"}
    assert len(facts["manifest"]["artifacts"]) == len(formats_of(targets_of(TARGETS)))
    first = training.load_data("digits").test.labels[0]
    code, printed, _ = pocketzoo("predict", out / "lenet5-int8.tflite", out / "digit.png", "--json")
    assert json.loads(printed)[0]["top"][0]["label"] == str(first)
    readme = (out / "README.md").read_text(encoding="utf-8")
    for file, label, percent in re.findall(r"^\| (\S+) \| (\d): ([\d.]+)% \|$", readme, re.MULTILINE):
        code, printed, _ = pocketzoo("predict", out / file, out / "digit.png", "--json")
        top = json.loads(printed)[0]["top"][0]
        assert (top["label"], f"{100 * top['probability']:.2f}") == (label, percent)
    assert readme.count(f" | {first}: ") == len(facts["manifest"]["artifacts"])


def test_command_to_try_is_the_name_or_where_that_is_not_found_the_path(tmp_path, monkeypatch):
    from pocketzoo.cli.quickstart import _own_command

    script = tmp_path / "my venv" / "bin" / "pocketzoo"
    script.parent.mkdir(parents=True)
    monkeypatch.setattr("sys.executable", str(script.with_name("python")))
    monkeypatch.setenv("PATH", str(script.parent))
    monkeypatch.chdir(tmp_path)
    assert _own_command() == "pocketzoo"
    script.touch(mode=0o755)
    assert _own_command() == "pocketzoo"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert _own_command() == "my venv/bin/pocketzoo"
    monkeypatch.chdir(script.parents[2].parent)
    assert _own_command() == f"{tmp_path.name}/my venv/bin/pocketzoo"
    monkeypatch.chdir("/usr")
    assert _own_command() == str(script)


@pytest.mark.slow
def test_quickstart_that_misses_a_threshold_exits_with_1(pocketzoo, tmp_path, monkeypatch):
    from pocketzoo.cli import quickstart

    hopeless = quickstart.Plan(epochs=1, prune_epochs=1, least_accuracy=0.99, largest_drop=0.005)
    monkeypatch.setattr(quickstart, "FAST", hopeless)
    code, printed, err = pocketzoo("quickstart", "--fast", "--out", tmp_path / "out")
    assert code == 1
    assert "failed" in printed
    assert "missed a threshold: accuracy after" in err
    assert not (tmp_path / "out").exists()


def test_model_without_image_input_is_rejected(pocketzoo, tmp_path):
    path = zoo.save_model(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]), tmp_path / "m.keras")
    for arguments in (["evaluate", path, "--data", "digits"], ["export", path, "--out", tmp_path / "out"]):
        code, _, err = pocketzoo(*arguments)
        assert code == 2
        assert "expected is one batch" in err


@pytest.mark.parametrize("arguments", [["list"], ["--help"], ["info", "--help"]])
def test_light_commands_import_no_heavy_library(arguments):
    check = (
        "import sys\n"
        "from pocketzoo.cli.main import main\n"
        "try: main()\nexcept SystemExit as e: assert not e.code\n"
        "found = {'keras', 'tensorflow', 'numpy', 'onnx'} & set(sys.modules); assert not found, found"
    )
    subprocess.run([sys.executable, "-c", check, *arguments], check=True, stdout=subprocess.DEVNULL, cwd="/")


def test_predict_imports_no_tensorflow(trained_file, folder, tmp_path):
    export.export_model(zoo.load_model(trained_file), tmp_path / "out", targets=["mobile"])
    check = (
        "import sys\nfrom pocketzoo.cli.main import main\n"
        "try: main()\nexcept SystemExit as e: assert not e.code\n"
        "found = {'keras', 'tensorflow'} & set(sys.modules); assert not found, found"
    )
    arguments = ["predict", str(tmp_path / "out" / "lenet5-fp32.tflite"), str(folder / "two" / "05.png")]
    done = subprocess.run(
        [sys.executable, "-c", check, *arguments], check=True, capture_output=True, text=True, cwd="/"
    )
    assert "XNNPACK" not in done.stderr
