import json
import re

import numpy as np
import pytest
from PIL import Image

from pocketzoo import zoo


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    model = zoo.create_model("lenet5", labels=[str(digit) for digit in range(10)])
    return zoo.save_model(model, tmp_path_factory.mktemp("model") / "lenet5.keras")


def test_evaluation_shows_all_metrics_and_an_interval_of_the_first(pocketzoo, model_file):
    code, out, _ = pocketzoo("evaluate", model_file, "--data", "digits")
    assert code == 0
    figures = re.search(
        r"Accuracy (\d+\.\d\d)% \((\d+\.\d) to (\d+\.\d)\) on 360 images, top-5 accuracy \d+\.\d\d%, "
        r"macro F1 \d+\.\d\d%, ROC AUC 0\.\d{4}, calibration error \d+\.\d\d%, loss \d\.\d{4}$",
        out.strip(),
    )
    assert figures
    accuracy, low, high = map(float, figures.groups())
    assert low < accuracy < high


def test_evaluation_writes_a_report_of_the_printed_metrics(pocketzoo, model_file, tmp_path):
    report = tmp_path / "report"
    code, out, err = pocketzoo("evaluate", model_file, "--data", "digits", "--report", report, "--json")
    assert code == 0, err
    assert json.loads(out) == json.loads((report / "evaluation.json").read_text())
    assert {path.name for path in report.glob("*.png")} == {"confusion.png", "calibration.png", "worst.png"}
    views = ["--test-time-augmentation", "shift"]
    _, averaged, _ = pocketzoo("evaluate", model_file, "--data", "digits", *views, "--json")
    assert json.loads(averaged)["loss"] != json.loads(out)["loss"]


def test_evaluation_lists_the_available_views(pocketzoo, model_file):
    code, _, err = pocketzoo("evaluate", model_file, "--data", "digits", "--test-time-augmentation", "ten-crop")
    assert (code, err) == (2, "Error: unknown test-time augmentation 'ten-crop': there are flip, shift.\n")


@pytest.fixture
def folder(tmp_path):
    """Twelve cats and six dogs, one of them twice, and one broken."""
    for name, count in (("cat", 12), ("dog", 6)):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(count):
            shade = number + 100 * (name == "dog")
            Image.fromarray(np.full((6, 8, 3), shade, "uint8")).save(tmp_path / "pets" / name / f"{number:02}.png")
    Image.fromarray(np.full((6, 8, 3), 0, "uint8")).save(tmp_path / "pets" / "cat" / "copy.png")
    (tmp_path / "pets" / "dog" / "broken.png").write_bytes(b"no picture")
    return tmp_path / "pets"


def test_data_shows_the_content_of_a_folder(pocketzoo, folder):
    code, out, err = pocketzoo("data", folder)
    assert code == 0, err
    assert re.search(r"pets: 19 images \(\d+ train, \d validation, \d test\)", out)
    assert re.search(r"cat +\d+ +\d +\d", out)
    assert "smallest 8x6  median 8x6  largest 8x6" in out
    assert re.search(r"more than once: 1\n +\w+: .*00\.png = \w+: .*copy\.png", out)
    assert "training rejects: 0" in out
    assert re.search(r"Unreadable files: 1\n .*broken\.png cannot be read as an image", out)
    facts = json.loads(pocketzoo("data", folder, "--json")[1])
    assert sum(facts["images"].values()) == 19
    assert list(facts["unreadable"]) == [str(folder / "dog" / "broken.png")]


def test_data_reads_headers_alone_on_request(pocketzoo, folder, tmp_path):
    code, out, err = pocketzoo("data", folder, "--headers")
    assert code == 0, err
    assert "pets: 19 images (19 unsplit)" in out
    assert re.search(r"cat +13 *\n", out)
    assert "smallest 8x6  median 8x6  largest 8x6\nFormats: PNG 19\nModes: RGB 19\nUnreadable files: 1\n" in out
    assert "Not checked: damage behind the headers; copies of images" in out
    facts = json.loads(pocketzoo("data", folder, "--headers", "--json")[1])
    assert facts["labels"]["dog"] == {"unsplit": 6}
    code, _, err = pocketzoo("data", folder, "--headers", "--sheet", tmp_path / "sheet.png")
    assert code == 2
    assert err.startswith("Error: --sheet needs the pixels of")


def test_data_writes_a_sheet_of_augmented_images(pocketzoo, folder, tmp_path):
    sheet = tmp_path / "sheet.png"
    code, out, err = pocketzoo(
        "data", folder, "--sheet", sheet, "--augmentation", "strong", "--set", "data.image_size=20", "--json"
    )
    assert code == 0, err
    json.loads(out)
    with Image.open(sheet) as picture:
        assert picture.width > picture.height > 600  # eight columns and a label, six rows


def test_data_rejects_unknown_source_and_policy(pocketzoo, folder, tmp_path):
    code, _, err = pocketzoo("data", tmp_path / "nothing")
    assert code == 2
    assert "is neither a folder" in err
    code, _, err = pocketzoo("data", folder, "--sheet", tmp_path / "sheet.png", "--augmentation", "heavy")
    assert code == 2
    assert "augmentation" in err
    assert not (tmp_path / "sheet.png").exists()
