"""`pocketzoo predict` on files, folders, patterns, addresses and standard input."""

import csv
import functools
import http.server
import io
import json
import os
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from pocketzoo import training, zoo
from pocketzoo.cli import main as entry
from pocketzoo.zoo.image_sources import image_sources


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return zoo.save_model(
        zoo.create_model("lenet5", input_shape=(32, 32, 1), labels=["ant", "bee"], classes=2),
        tmp_path_factory.mktemp("model") / "net.keras",
    )


@pytest.fixture
def photos(tmp_path):
    """Two images, one in a subfolder, and files that are none."""
    root = tmp_path / "photos"
    (root / "more").mkdir(parents=True)
    (root / "__MACOSX").mkdir()
    for number, path in enumerate((root / "a.png", root / "more" / "b.png", root / "__MACOSX" / "._a.png")):
        Image.fromarray(np.full((32, 32), 90 * number, "uint8")).save(path)
    (root / "notes.txt").write_text("no image")
    return root


def images_of(out):
    return [answer["image"] for answer in json.loads(out)]


def test_folders_and_patterns_are_predicted_without_files_of_the_system(pocketzoo, model, photos):
    code, out, _ = pocketzoo("predict", model, photos, photos / "*.png", "--json")
    assert code == 0
    assert images_of(out) == [f"{photos}/a.png", f"{photos}/more/b.png", f"{photos}/a.png"]
    assert images_of(pocketzoo("predict", model, photos / "**/*.png", "--json")[1])[-1] == f"{photos}/more/b.png"


@pytest.mark.parametrize(
    ("source", "message"), [("empty", r"empty has no images"), ("*.gif", r"no file matches '.*\*\.gif'")]
)
def test_folder_and_pattern_without_images_are_refused(source, message, photos):
    (photos / "empty").mkdir()
    with pytest.raises(zoo.InputError, match=message):
        image_sources([str(photos / source)])


def test_bad_files_do_not_stop_the_others_and_the_exit_code_tells(pocketzoo, model, photos):
    (photos / "b.jpg").write_bytes(b"")
    arguments = ("predict", model, photos, photos / "gone.png")
    code, out, err = pocketzoo(*arguments, "--json")
    assert code == 2
    assert f"Error: {photos}/b.jpg cannot be read as an image: the file is empty." in err
    found = {answer["image"]: answer for answer in json.loads(out)}
    assert "top" in found[f"{photos}/a.png"]
    assert "there is no such file" in found[f"{photos}/gone.png"]["error"]
    code, _, err = pocketzoo(*arguments, "--skip-unreadable")
    assert code == 0
    assert "Skipped: " in err
    assert pocketzoo("predict", model, photos / "b.jpg", "--skip-unreadable")[0] == 2


def test_csv_has_a_row_for_each_image_and_label(pocketzoo, model, photos):
    (photos / "bad, worse.png").write_bytes(b"no image")
    code, out, _ = pocketzoo("predict", model, photos, "--csv", "--top", "2")
    assert code == 2
    rows = list(csv.DictReader(io.StringIO(out)))
    assert list(rows[0]) == ["image", "label", "probability", "error"]
    assert [row["image"].rsplit("/", 1)[1] for row in rows] == ["a.png"] * 2 + ["bad, worse.png"] + ["b.png"] * 2
    assert sum(float(row["probability"]) for row in rows[:2]) == pytest.approx(1)
    assert "in no image format" in rows[2]["error"]
    assert pocketzoo("predict", model, photos, "--csv", "--json")[0] == 2


def test_addresses_on_the_web_are_predicted(pocketzoo, model, photos):
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(photos))
    handler.func.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        code, out, err = pocketzoo("predict", model, f"{address}/more/b.png", f"{address}/none.png", "--json")
        local = pocketzoo("predict", model, photos / "more" / "b.png", "--json")[1]
        server.shutdown()
    assert code == 2
    top, expected = json.loads(out)[0]["top"], json.loads(local)[0]["top"]
    assert [each["label"] for each in top] == [each["label"] for each in expected]
    # The last digit depends on where the numbers are in memory.
    assert [each["probability"] for each in top] == pytest.approx([each["probability"] for each in expected], rel=1e-5)
    assert f"{address}/none.png cannot be downloaded: 404" in err


def test_image_on_standard_input_is_predicted(pocketzoo, model, photos, monkeypatch):
    def stdin(content):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))

    stdin((photos / "a.png").read_bytes())
    code, out, _ = pocketzoo("predict", model, "-", "--json")
    assert (code, images_of(out)) == (0, ["-"])
    stdin(b"")
    code, _, err = pocketzoo("predict", model, "-")
    assert (code, err) == (2, "Error: - cannot be read as an image: the file is empty.\n")
    assert "name it once" in pocketzoo("predict", model, "-", "-")[2]


def test_model_of_another_range_reads_files_as_they_are_stored(pocketzoo, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 4096, (30, 32, 32, 1)).astype("uint16")
    data = training.from_arrays(pixels, np.arange(30) % 2, pixel_range=(0, 4095))
    net = zoo.create_model("lenet5", input_shape=(32, 32, 1), labels=["0", "1"], classes=2)
    training.adapt_normalization(net, data)
    zoo.save_model(net, tmp_path / "net.keras")
    Image.fromarray(pixels[0, ..., 0]).save(tmp_path / "deep.png")
    (answer,) = json.loads(pocketzoo("predict", tmp_path / "net.keras", tmp_path / "deep.png", "--json")[1])
    expected = net.predict(pixels[:1].astype("float32"), verbose=0)[0]
    assert {row["label"]: row["probability"] for row in answer["top"]} == pytest.approx(
        {"0": expected[0], "1": expected[1]}
    )


@pytest.fixture
def undecodable(tmp_path):
    """Class folders whose names and files' names are Latin-1."""
    root = tmp_path / "photos"
    for label, folder in enumerate((b"caf\xe9", b"tea")):
        path = os.fsencode(root) + b"/" + folder
        os.makedirs(path)
        for number in range(6):
            image = Image.fromarray(np.full((8, 8), 100 * label + number, "uint8"))
            image.save(os.fsdecode(path + b"/\xfc%d.png" % number))
    return root


def test_file_names_that_are_not_utf8_work_in_json(pocketzoo, model, undecodable):
    code, out, _ = pocketzoo("predict", model, undecodable, "--json")
    assert code == 0
    assert sorted(map(os.fsencode, images_of(out))) == sorted(
        os.fsencode(path) for path in map(str, undecodable.rglob("*.png"))
    )


def test_file_names_that_are_not_utf8_are_printed_as_they_are(undecodable, monkeypatch):
    bad = os.fsencode(undecodable) + b"/tea/\xff.png"
    with open(bad, "wb"):
        pass
    printed = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, encoding="utf-8", write_through=True))
    monkeypatch.setattr(sys, "argv", ["pocketzoo", "data", str(undecodable)])
    with pytest.raises(SystemExit):
        entry.main()
    assert bad + b" cannot be read as an image: the file is empty" in printed.getvalue()
    assert rb"caf\xe9" in printed.getvalue()


def test_data_of_file_names_that_are_not_utf8_trains_and_is_packed(undecodable, tmp_path):
    data = training.load_data(undecodable, image_size=32, channels=1)
    assert data.labels == ("caf\\xe9", "tea")
    assert len(data.fingerprint()) == 64
    net = zoo.create_model("lenet5", input_shape=(32, 32, 1), labels=data.labels, classes=2)
    training.write_report(net, data, tmp_path / "report")
    assert json.loads((tmp_path / "report" / "worst.json").read_text())
    training.write_shards(data, tmp_path / "shards")
    assert len(training.load_data(tmp_path / "shards").train) == len(data.train)
    table = undecodable / "table.csv"
    names = [b"tea/\xfc%d.png,a" % number for number in range(3)] + [
        b"caf\xe9/\xfc%d.png,b" % number for number in range(3)
    ]
    table.write_bytes(b"\n".join([b"image,label", *names]))
    assert training.load_data(table, image_size=8).labels == ("a", "b")
