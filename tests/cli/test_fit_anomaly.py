"""`pocketzoo fit-anomaly`: from good images to a detector."""

import json

import pytest
from PIL import Image

from pocketzoo import training, zoo
from pocketzoo.training.data import digit_defects


@pytest.fixture(autouse=True)
def _fewer_digits(monkeypatch):
    monkeypatch.setattr(digit_defects, "GOOD", {"train": 40, "validation": 9, "test": 12})
    monkeypatch.setattr(digit_defects, "OF_EACH_DEFECT", {"train": 0, "validation": 3, "test": 4})


def test_detector_by_name_is_fitted_evaluated_and_saved(pocketzoo, tmp_path):
    out = tmp_path / "detector.keras"
    code, printed, _ = pocketzoo("fit-anomaly", "resnet20", "--data", "digit-defects", "--out", out, "--json")
    assert code == 0
    facts = json.loads(printed)
    assert facts["endpoints"] == ["stage1_block3", "stage2_block3"]
    assert facts["rule"] == "best F1 on 18 validation images, 9 of them with defects"
    assert facts["test"]["image_auroc"] > 0.8
    found = training.evaluate(zoo.load_model(out), training.load_data("digit-defects", channels=3))
    assert found.image_auroc == facts["test"]["image_auroc"]
    code, printed, _ = pocketzoo("evaluate", out, "--data", "digit-defects")
    assert code == 0
    assert "Image AUROC" in printed
    code, _, message = pocketzoo("fit-anomaly", "resnet20", "--data", "digit-defects", "--out", out)
    assert code == 2
    assert "exists; add --overwrite to replace it" in message


def test_good_images_alone_suffice(pocketzoo, tmp_path, monkeypatch):
    monkeypatch.setattr(digit_defects, "OF_EACH_DEFECT", dict.fromkeys(digit_defects.GOOD, 0))
    out = tmp_path / "detector.keras"
    code, printed, message = pocketzoo("fit-anomaly", "resnet20", "--data", "digit-defects", "--out", out)
    assert (code, out.exists()) == (0, True)
    assert "exceeded by 5.0% of 9 good validation images" in printed
    assert "Not evaluated: none of the 12 images have a defect" in message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "detector.h5"], "the name of the detector must end in .keras"),
        (["--out", "d.keras", "--data", "digits"], "digits has the task classification; anomalies take a folder"),
        (["--out", "d.keras", "--endpoints", "stage9"], "unknown layer with a map of features of resnet20 'stage9'"),
        (["--out", "d.keras", "--false-alarm-rate", "2"], "false_alarm_rate is 2.0; it takes a share"),
    ],
)
def test_wrong_options_are_refused(pocketzoo, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    data = [] if "--data" in options else ["--data", "digit-defects"]
    code, _, error = pocketzoo("fit-anomaly", "resnet20", *data, *options)
    assert code == 2
    assert message in error
    assert list(tmp_path.iterdir()) == []


def test_survey_of_defects_counts_images(pocketzoo, tmp_path):
    for number, place in enumerate(("train/good", "train/good", "train/good", "test/good", "test/dent")):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40), (20 * number, 9, 9)).save(tmp_path / place / f"{number}.png")
    code, printed, _ = pocketzoo("data", tmp_path, "--json", "--sheet", tmp_path / "sheet.png")
    assert code == 0
    assert json.loads(printed)["images"]["test"] == 2
