"""Options that say what the inputs and outputs of a user's model mean."""

import json

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from pocketzoo import training, zoo
from pocketzoo.cli.fine_tune import _with_head_for
from pocketzoo.cli.model_contract import _by_output, _names


@pytest.fixture
def quadrants(tmp_path):
    """A folder of images whose class is the bright quadrant."""
    random = np.random.default_rng(0)
    for number in range(80):
        pixels, (row, column) = random.integers(0, 60, (16, 16, 3)).astype("uint8"), divmod(number % 4, 2)
        pixels[row * 8 : row * 8 + 8, column * 8 : column * 8 + 8] += 150
        folder = tmp_path / "data" / "abcd"[number % 4]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "data"


@pytest.fixture
def logits_file(tmp_path):
    """A net that outputs logits of the brightest quadrant, from pixels of 0..1."""
    image = keras.Input((16, 16, 3))
    pooled = layers.Flatten()(layers.AveragePooling2D(8)(image))
    model = keras.Model(image, layers.Dense(4, use_bias=False)(pooled), name="quadrant")
    model.layers[-1].kernel.assign(np.repeat(np.eye(4), 3, axis=0) * 5)
    model.save(tmp_path / "quadrant.keras")
    return tmp_path / "quadrant.keras"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["=1+1,b"], ["=1+1", "b"]),
        ([" =1"], ["=1"]),
        (["kind==1+1,b"], {"kind": ["=1+1", "b"]}),
        (["a=1", "b=x,y"], {"a": ["1"], "b": ["x", "y"]}),
    ],
)
def test_labels_may_begin_with_an_equals_sign(values, expected):
    assert _by_output("--labels", values, _names) == expected


STATED = ("--task", "classification", "--labels", "a,b,c,d", "--pixels", "0..1", "--from-logits")


def test_stated_model_is_evaluated_exported_and_predicts(pocketzoo, quadrants, logits_file, tmp_path):
    code, out, _ = pocketzoo("evaluate", logits_file, "--data", quadrants, *STATED, "--json")
    assert code == 0
    assert json.loads(out)["accuracy"] == 1.0
    options = ("--out", tmp_path / "bundle", "--targets", "mobile-gpu,edge-mcu", "--data", quadrants)
    code, out, err = pocketzoo("export", logits_file, *options, *STATED, "--json")
    assert code == 0, err
    model = json.loads(out)["model"]
    assert (model["labels"], model["pixel_range"], model["from_logits"]) == (list("abcd"), [0.0, 1.0], True)
    assert model["inferred"] == []
    for file in sorted((tmp_path / "bundle").glob("*.tflite")):
        code, out, _ = pocketzoo("predict", file, next((quadrants / "c").iterdir()), "--json")
        (best, *_) = json.loads(out)[0]["top"]
        assert best["label"] == "c"
        assert 0.9 < best["probability"] <= 1
        code, out, _ = pocketzoo("evaluate", file, "--data", quadrants, "--json")
        assert json.loads(out)["accuracy"] == 1.0


def test_range_that_is_left_out_is_inferred_and_recorded(pocketzoo, quadrants, logits_file, tmp_path):
    options = ("--out", tmp_path / "bundle", "--targets", "mobile-gpu", "--data", quadrants)
    code, out, err = pocketzoo("export", logits_file, *options, "--json")
    assert code == 0
    assert "Inferred for quadrant: the output is logits of a classification; pixels go from 0 to 255, since" in err
    model = json.loads(out)["model"]
    assert model["inferred"] == ["from_logits", "pixels"]
    assert model["labels"] == list("abcd")  # those of the data
    options = ("--out", tmp_path / "stated", "--targets", "mobile-gpu", "--data", quadrants, "--pixels", "0..1")
    code, out, err = pocketzoo("export", logits_file, *options, "--from-logits", "--json")
    assert (code, json.loads(out)["model"]["task"]) == (0, "classification"), err


def test_info_of_a_file_lists_inputs_and_outputs_and_what_they_mean(pocketzoo, logits_file):
    code, out, _ = pocketzoo("info", logits_file, "--json")
    facts = json.loads(out)
    assert code == 0
    assert (facts["pixels"], facts["task"], facts["inferred"]) == ([0.0, 255.0], "regression", ["pixels", "task"])
    assert (facts["parameters"], facts["multiply_adds"]) == (48, 48)
    code, out, _ = pocketzoo("info", logits_file)
    assert code == 0
    assert [" ".join(line.split()) for line in out.splitlines() if "put" in line] == [
        "input input_layer 16x16x3 float32".replace("input_layer", next(iter(facts["inputs"]))),
        f"output {next(iter(facts['outputs']))} 4 float32",
    ]


def test_outputs_that_fit_the_data_keep_their_head(quadrants, logits_file, capsys):
    model, data = zoo.load_model(logits_file), training.load_data(quadrants, image_size=16)
    assert _with_head_for(model, data, features=None, embedding=None) is model
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--pixels", "1..0"), "pixels is '1..0'"),
        (("--task", "box"), "unknown task 'box'"),
        (("--labels", "a,b"), "quadrant has 4 outputs, but there are 2 labels"),
        (("--labels", "missing.txt"), "--labels 'missing.txt' cannot be read"),
        (("--task", "regression", "--task", "raw"), "--task 'regression' is one of several"),
    ],
)
def test_options_that_cannot_be_used_are_refused(pocketzoo, quadrants, logits_file, options, words):
    code, _, err = pocketzoo("evaluate", logits_file, "--data", quadrants, *options)
    assert code == 2
    assert words in " ".join(err.split())


def test_artifact_states_everything_itself(pocketzoo, quadrants, logits_file, tmp_path):
    pocketzoo(
        "export", logits_file, "--out", tmp_path / "bundle", "--targets", "mobile-gpu", "--data", quadrants, *STATED
    )
    (file,) = (tmp_path / "bundle").glob("*.tflite")
    code, _, err = pocketzoo("evaluate", file, "--data", quadrants, "--pixels", "0..1")
    assert code == 2
    assert "states the task, labels, pixel range and logits itself" in " ".join(err.split())
