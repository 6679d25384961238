"""`pocketzoo predict` on what is no classification."""

import json

import numpy as np
import pytest
from PIL import Image

from pocketzoo import export, zoo


@pytest.fixture
def picture(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), "uint8")
    Image.fromarray(pixels).save(tmp_path / "road.png")
    return tmp_path / "road.png"


@pytest.fixture
def segmenting(tmp_path):
    model = zoo.create_model("unet_same", widths=(4, 4, 8, 8, 8), input_shape=(32, 32, 3), labels=["road", "sky"])
    return zoo.save_model(model, tmp_path / "unet.keras")


def test_segmentation_tells_shares_and_writes_masks(pocketzoo, segmenting, picture, tmp_path):
    code, out, _ = pocketzoo("predict", segmenting, picture, "--masks", tmp_path / "masks", "--json")
    assert code == 0
    (answer,) = json.loads(out)
    model = zoo.load_model(segmenting)
    mask = model.predict(np.float32(Image.open(picture))[None], verbose=0)[0].argmax(-1)
    shares = {row["label"]: row["share"] for row in answer["top"]}
    assert shares == {label: np.mean(mask == i) for i, label in enumerate(["road", "sky"]) if np.any(mask == i)}
    written = Image.open(tmp_path / "masks" / "road.png")
    assert written.mode == "P"
    np.testing.assert_array_equal(np.asarray(written), mask)


def test_masks_that_would_have_one_name_are_refused(pocketzoo, segmenting, picture, tmp_path):
    (tmp_path / "other").mkdir()
    other = picture.rename(tmp_path / "other" / "road.png")
    Image.open(other).save(picture)
    code, _, error = pocketzoo("predict", segmenting, picture, other, "--masks", tmp_path / "masks")
    assert (code, error) == (2, "Error: two images are called 'road'; their pictures would have the same name.\n")
    assert not (tmp_path / "masks").exists()


def test_pictures_replace_no_image_and_no_file(pocketzoo, segmenting, picture, tmp_path):
    before = picture.read_bytes()
    code, _, error = pocketzoo("predict", segmenting, picture, "--pictures", picture.parent)
    assert code == 2
    assert error.endswith(f"would replace the image {picture}; name another folder.\n")
    code, _, error = pocketzoo("predict", segmenting, picture, "--pictures", picture)
    assert (code, picture.read_bytes()) == (2, before)
    assert error == f"Error: --pictures {picture} is a file; it takes a folder, which is made if there is none.\n"


def test_regression_tells_its_numbers(pocketzoo, picture, tmp_path):
    model = zoo.create_model("resnet20", head="regression", labels=["age", "height"])
    path = zoo.save_model(model, tmp_path / "net.keras")
    _, out, _ = pocketzoo("predict", path, picture, "--json")
    expected = model.predict(np.float32(Image.open(picture))[None], verbose=0)[0]
    (answer,) = json.loads(out)
    assert [row["label"] for row in answer["top"]] == ["age", "height"]
    np.testing.assert_allclose([row["value"] for row in answer["top"]], expected, rtol=1e-4)
    assert "value" in pocketzoo("predict", path, picture)[1]


def test_masks_of_a_classification_are_refused(pocketzoo, picture, tmp_path):
    path = zoo.save_model(zoo.create_model("resnet20"), tmp_path / "net.keras")
    code, _, error = pocketzoo("predict", path, picture, "--masks", tmp_path / "masks")
    assert (code, error) == (2, "Error: the outputs of a classification are no pictures.\n")


def test_other_answers_are_not_read_as_what_they_are_not():
    prediction = export.Prediction(np.ones((1, 2), "float32"), ("a", "b"), "regression")
    with pytest.raises(zoo.InputError, match="regression are not classes"):
        prediction.top()
    with pytest.raises(zoo.InputError, match="regression are not masks"):
        prediction.shares()
    with pytest.raises(zoo.InputError, match="multi_label are not values"):
        export.Prediction(np.ones((1, 2), "float32"), ("a", "b"), "multi_label").values()
