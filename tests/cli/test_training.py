import json
import os
import re
import wave

import numpy as np
import pytest
from PIL import Image

from pocketzoo import training, zoo
from pocketzoo.cli.inputs import load_seeded
from pocketzoo.core.work_directory import LOCK, WorkDirectory

BRIEF = ["--set", "epochs=1", "--set", "batch_size=60"]


def test_recipe_can_set_dataset_and_image_size(pocketzoo, tmp_path):
    recipe, run = tmp_path / "recipe.yaml", tmp_path / "run"
    recipe.write_text("epochs: 1\nbatch_size: 200\ndata: {source: digits, image_size: 20}\n")
    code, out, _ = pocketzoo("train", "lenet5", "--recipe", recipe, "--run-dir", run, "--json")
    assert code == 0
    assert json.loads(out)["model"] == str(run / "best.keras")
    assert zoo.load_model(run / "best.keras").input_shape == (None, 20, 20, 1)


def test_training_without_data_names_the_option(pocketzoo, tmp_path):
    code, _, err = pocketzoo("train", "lenet5", "--run-dir", tmp_path / "run")
    assert code == 2
    assert "there is no data to train on; set --data, or data.source in the recipe" in err


def test_folds_are_trained_in_turn_and_summarized(pocketzoo, tmp_path):
    arguments = ["train", "lenet5", "--data", "digits", "--image-size", 16, *BRIEF, "--set", "folds=2"]
    code, out, _ = pocketzoo(*arguments, "--run-dir", tmp_path / "run")
    assert code == 0
    assert re.findall(r"^ (fold 1|fold 2|mean|deviation) +\d+\.\d\d%", out, flags=re.MULTILINE) == [
        "fold 1",
        "fold 2",
        "mean",
        "deviation",
    ]
    facts = json.loads((tmp_path / "run" / "cross-validation.json").read_text())
    assert json.loads(pocketzoo(*arguments, "--run-dir", tmp_path / "run", "--resume", "--json")[1]) == facts
    assert (tmp_path / "run" / "fold-2" / "best.keras").exists()


def test_find_lr_suggests_a_rate_and_plots_the_loss(pocketzoo, tmp_path):
    curve = tmp_path / "curve.png"
    arguments = ["find-lr", "lenet5", "--data", "digits", "--image-size", 16, "--set", "batch_size=16"]
    code, out, _ = pocketzoo(*arguments, "--plot", curve)
    assert code == 0
    suggestion = float(re.search(r"--set optimizer\.lr=(\S+)", out)[1])
    assert training.Recipe(optimizer={"lr": suggestion}).optimizer.lr == suggestion
    assert curve.read_bytes().startswith(b"\x89PNG")


def test_net_for_sound_sees_its_spectrogram(pocketzoo, tmp_path):
    time = np.arange(1600) / 8000
    for number in range(40):
        name, pitch = ("low", 300) if number % 2 else ("high", 2000)
        (tmp_path / "sounds" / name).mkdir(parents=True, exist_ok=True)
        with wave.open(str(tmp_path / "sounds" / name / f"{number}.wav"), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes((9000 * np.sin(2 * np.pi * (pitch + number) * time)).astype("<i2").tobytes())
    run, data = tmp_path / "run", ("--data", tmp_path / "sounds")
    recipe = ["--set", "epochs=1", "--set", "batch_size=10", "--set", "augmentation=none", "--run-dir", run]
    arguments = ["train", "mobilenet_v1_025", *data, *recipe, "--spectrogram", 16]
    code, _, err = pocketzoo(*arguments)
    assert (code, "--spectrogram is 16, but needs the rate of the sound too; set --sample-rate" in err) == (2, True)
    code, _, err = pocketzoo(*arguments, "--sample-rate", 8000, "--image-size", 32)
    assert (code, "the image size is 32, but" in err) == (2, True)
    assert pocketzoo(*arguments, "--sample-rate", 8000)[0] == 0
    picture = tmp_path / "photo.png"
    Image.new("RGB", (9, 9)).save(picture)
    code, _, err = pocketzoo("predict", run / "best.keras", picture)
    assert (code, err.rstrip().endswith("best.keras takes signals; give a .wav, .npy, .csv file.")) == (2, True)
    code, _, err = pocketzoo("evaluate", run / "best.keras", "--data", "digits")
    assert (code, "the model takes signals, but digits has images" in err) == (2, True)
    model = zoo.load_model(run / "best.keras")
    assert (model.input_shape, model.get_layer("spectrogram").output.shape) == ((None, 1600, 1), (None, 18, 16))


@pytest.mark.parametrize(
    "command",
    [
        ("train", "lenet5", "--resume"),
        ("train", "lenet5", "--overwrite"),
        ("train", "lenet5", "--set", "folds=2"),
        ("fine-tune", "lenet5"),
        ("prune", "net.keras"),
        ("prune-channels", "net.keras"),
        ("cluster", "net.keras"),
        ("quantize", "net.keras"),
        ("distill", "lenet5", "net.keras"),
        ("compress", "net.keras", "--spec", "spec.yaml"),
    ],
    ids=" ".join,
)
def test_second_process_is_told_who_uses_the_run_directory_before_it_loads_anything(pocketzoo, tmp_path, command):
    (tmp_path / "link").symlink_to("run")
    with WorkDirectory(tmp_path / "run", "run", "", ()).lock():
        code, _, err = pocketzoo(*command, "--data", "digits", "--run-dir", tmp_path / "link")
        assert [path.name for path in (tmp_path / "run").iterdir()] == [LOCK]
    assert code == 2
    assert re.fullmatch(
        rf"Error: run directory \S*link is in use by another process: process {os.getpid()} on .* since .*\.\n", err
    )


def test_second_quickstart_is_told_who_uses_the_directory(pocketzoo, tmp_path):
    with WorkDirectory(tmp_path / "out-runs", "run", "", ()).lock():
        code, _, err = pocketzoo("quickstart", "--out", tmp_path / "out")
    assert (code, err.count("out-runs is in use by another process: process ")) == (2, 1)


def test_mistake_leaves_no_run_directory(pocketzoo, tmp_path):
    code, _, err = pocketzoo("train", "lenet6", "--data", "digits", "--run-dir", tmp_path / "new" / "run")
    assert (code, "did you mean lenet5" in err) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_dropout_of_a_model_file_has_the_random_state_of_the_seed(tmp_path):
    """So a run that was killed before its first checkpoint ends as it would have."""
    path = zoo.save_model(zoo.create_model("lenet5", input_shape=(16, 16, 1), dropout=0.3), tmp_path / "net.keras")

    def random_states(seed):
        model = load_seeded(path, seed)
        weights = {id(weight) for weight in model.weights}
        return [variable.numpy().tolist() for variable in model.variables if id(variable) not in weights]

    assert random_states(1) == random_states(1) != random_states(2)
    assert random_states(1) != []
