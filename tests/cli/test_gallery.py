"""`pocketzoo predict --gallery`: the images of a folder that are nearest to an image."""

import csv
import io
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from pocketzoo import export, zoo
from pocketzoo.tasks.retrieval import unit_vectors


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """Noise of two brightnesses in a folder each, a model, and its ONNX file."""
    folder, random = tmp_path_factory.mktemp("shelf"), np.random.default_rng(0)
    for label, low in {"dark": 0, "light": 180}.items():
        (folder / "gallery" / label).mkdir(parents=True)
        for number in range(3):
            pixels = random.integers(low, low + 70, (32, 32, 1), "uint8").repeat(3, axis=2)
            Image.fromarray(pixels).save(folder / "gallery" / label / f"{number}.png")
    keras.utils.set_random_seed(0)
    model = zoo.create_model("lenet5", head="embedding", embedding_size=6, input_shape=(32, 32, 1))
    zoo.save_model(model, folder / "net.keras")
    images = random.integers(0, 250, (12, 4, 4, 1)).repeat(8, axis=1).repeat(8, axis=2).astype("uint8")
    export.export_model(model, folder / "bundle", targets="openvino", evaluation=images)
    return folder, model


def nearest_by_hand(model, folder, query):
    files = sorted(file for file in (folder / "gallery").rglob("*.png") if file != query)

    def embedding(file):
        return unit_vectors(np.asarray(model(np.float32(Image.open(file).convert("L"))[None, ..., None])))[0]

    similar = {str(file): float(embedding(file) @ embedding(query)) for file in files}
    return dict(sorted(similar.items(), key=lambda pair: -pair[1])[:2])


@pytest.mark.parametrize("kind", ["net.keras", "bundle/lenet5-fp32.onnx"])
def test_nearest_images_are_found_without_the_image_itself(pocketzoo, shelf, kind):
    folder, model = shelf
    query = folder / "gallery" / "dark" / "1.png"
    arguments = ("predict", folder / kind, query, "--gallery", folder / "gallery", "--top", "2")
    code, out, _ = pocketzoo(*arguments, "--json")
    (answer,) = json.loads(out)
    expected = nearest_by_hand(model, folder, query)
    assert code == 0
    assert [row["nearest"] for row in answer["nearest"]] == list(expected)
    np.testing.assert_allclose([row["similarity"] for row in answer["nearest"]], list(expected.values()), atol=1e-4)
    assert {row["label"] for row in answer["nearest"]} <= {"dark", "light"}
    rows = list(csv.DictReader(io.StringIO(pocketzoo(*arguments, "--csv")[1])))
    assert [row["nearest"] for row in rows] == list(expected)


def test_nearest_images_are_listed_and_drawn(pocketzoo, shelf, tmp_path):
    folder, _ = shelf
    query = folder / "gallery" / "light" / "0.png"
    code, out, _ = pocketzoo(
        "predict", folder / "net.keras", query, "--gallery", folder / "gallery", "--pictures", tmp_path / "sheets"
    )
    assert code == 0
    assert "similarity" in out
    assert Image.open(tmp_path / "sheets" / "0.png").width > 400


def test_artifact_needs_no_tensorflow(shelf):
    folder, _ = shelf
    statement = (
        "import sys\n"
        "from pocketzoo import export\n"
        "from pocketzoo.export.gallery import open_gallery\n"
        f"artifact = export.load_artifact({str(folder / 'bundle' / 'lenet5-fp32.onnx')!r})\n"
        f"gallery = open_gallery(artifact, {str(folder / 'gallery')!r})\n"
        "assert len(gallery.nearest(gallery.vectors[0], 9)) == 6\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", statement], check=True)


def test_gallery_that_finds_nothing_says_why(pocketzoo, shelf, tmp_path):
    folder, _ = shelf
    query = folder / "gallery" / "dark" / "1.png"

    def refused(path, *options):
        code, _, error = pocketzoo("predict", folder / "net.keras", query, "--gallery", path, *options)
        return code, error.splitlines()[-1]

    (tmp_path / "one" / "cats").mkdir(parents=True)
    assert refused(tmp_path / "one") == (
        2,
        f"Error: gallery {tmp_path / 'one'} has no images; it takes 2 or more, to find the nearest.",
    )
    query_bytes = query.read_bytes()
    (tmp_path / "one" / "cats" / "a.png").write_bytes(query_bytes)
    assert "has one image, a.png; it takes 2 or more" in refused(tmp_path / "one")[1]
    (tmp_path / "one" / "cats" / "b.png").write_bytes(query_bytes)
    assert "has one class, cats, so the nearest image would always be of it" in refused(tmp_path / "one")[1]
    (tmp_path / "one" / "dogs").mkdir()
    (tmp_path / "one" / "dogs" / "c.png").write_bytes(b"no image")
    code, error = refused(tmp_path / "one")
    assert code == 2
    assert "c.png" in error
    assert "no folder" in refused(tmp_path / "none")[1]
    code, out, error = pocketzoo(
        "predict", folder / "net.keras", query, "--gallery", tmp_path / "one", "--skip-unreadable", "--json"
    )
    assert code == 0
    assert "Skipped: " in error
    assert len(json.loads(out)[0]["nearest"]) == 2


def test_gallery_takes_an_embedding(pocketzoo, shelf, tmp_path):
    folder, _ = shelf
    path = zoo.save_model(zoo.create_model("lenet5"), tmp_path / "classifier.keras")
    query = folder / "gallery" / "dark" / "1.png"
    code, _, error = pocketzoo("predict", path, query, "--gallery", folder / "gallery")
    assert code == 2
    assert "has the task classification, but a gallery compares the output of an embedding" in error


def test_embedding_is_trained_by_classes(pocketzoo, tmp_path):
    code, _, error = pocketzoo(
        "train", "lenet5", "--run-dir", tmp_path / "d", "--embedding", "5", "--data", "digit-scenes"
    )
    assert code == 2
    assert "--embedding is trained by classes, but digit-scenes" in error


@pytest.mark.every_card
def test_embedding_is_trained_and_goes_on_as_one(pocketzoo, tmp_path):
    random = np.random.default_rng(0)
    for label, low in {"dark": 0, "middle": 90, "light": 180}.items():
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(14):
            pixels = random.integers(low, low + 70, (8, 8), "uint8").repeat(4, axis=0).repeat(4, axis=1)
            Image.fromarray(pixels).save(tmp_path / "data" / label / f"{number}.png")
    common = ("--data", tmp_path / "data", "--set", "epochs=1", "--set", "batch_size=8", "--set", "augmentation=none")
    code, out, error = pocketzoo("train", "lenet5", "--run-dir", tmp_path / "a", "--embedding", "5", *common)
    assert (code, "Recall@1" in out) == (0, True), error
    assert zoo.load_model(tmp_path / "a" / "best.keras").output_shape == (None, 5)
    tuned = ("fine-tune", tmp_path / "a" / "best.keras", "--run-dir", tmp_path / "b", "--set", "head_epochs=0", *common)
    code, _, error = pocketzoo(*tuned)
    assert (code, "New head" in error) == (0, False), error
    code, out, error = pocketzoo(
        "train", "lenet5", "--run-dir", tmp_path / "c", "--embedding", "5", "--set", "folds=2", *common
    )
    assert code == 0, error
