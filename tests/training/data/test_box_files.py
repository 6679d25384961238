"""Boxes from COCO, Pascal VOC, YOLO and CSV files."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from pocketzoo import training, zoo
from pocketzoo.training.data.sources import list_source

WIDTH, HEIGHT = 40, 20
OBJECTS = {
    "a": [("cat", (4, 2, 20, 12)), ("dog", (20, 10, 40, 20))],
    "b": [("cat", (0, 0, 10, 10))],
    "c": [],
    "d": [("dog", (30, 5, 36, 15))],
}


def pictures(folder):
    folder.mkdir(parents=True)
    for index, name in enumerate(OBJECTS):
        Image.new("RGB", (WIDTH, HEIGHT), (60 * index, 0, 0)).save(folder / f"{name}.png")


def coco(folder, objects=OBJECTS, **size):
    pictures(folder / "images")
    boxes = [(name, *each) for name, rows in objects.items() for each in rows]
    content = {
        "images": [{"id": i, "file_name": f"{name}.png", **size} for i, name in enumerate(objects)],
        "annotations": [
            {
                "id": number,
                "image_id": list(objects).index(name),
                "category_id": {"cat": 7, "dog": 9}[label],
                "bbox": [x1, y1, x2 - x1, y2 - y1],
            }
            for number, (name, label, (x1, y1, x2, y2)) in enumerate(boxes)
        ],
        "categories": [{"id": 7, "name": "cat"}, {"id": 9, "name": "dog"}],
    }
    (folder / "boxes.json").write_text(json.dumps(content))
    return folder / "boxes.json"


def voc(folder, objects=OBJECTS, size=(WIDTH, HEIGHT), head=""):
    pictures(folder / "JPEGImages")
    (folder / "Annotations").mkdir()
    for name, rows in objects.items():
        items = "".join(
            f"<object><name>{label}</name><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
            "</bndbox><part><name>tail</name><bndbox><xmin>1</xmin></bndbox></part></object>"
            for label, (x1, y1, x2, y2) in rows
        )
        sides = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
        (folder / "Annotations" / f"{name}.xml").write_text(f"{head}<annotation>{sides}{items}</annotation>")
    return folder


def yolo(folder, objects=OBJECTS):
    pictures(folder / "images")
    (folder / "labels").mkdir()
    (folder / "data.yaml").write_text("names: {0: cat, 1: dog}\n")
    for name, rows in objects.items():
        lines = [
            f"{['cat', 'dog'].index(label)} {(x1 + x2) / 2 / WIDTH} {(y1 + y2) / 2 / HEIGHT} {(x2 - x1) / WIDTH} "
            f"{(y2 - y1) / HEIGHT}\n"
            for label, (x1, y1, x2, y2) in rows
        ]
        if rows:
            (folder / "labels" / f"{name}.txt").write_text("".join(lines))
    return folder


def table(folder, objects=OBJECTS):
    pictures(folder)
    with (folder / "boxes.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "label", "x1", "y1", "x2", "y2"])
        for name, rows in objects.items():
            writer.writerows([f"{name}.png", label, *box] for label, box in rows or [("", [""] * 4)])
    return folder / "boxes.csv"


FORMS = pytest.mark.parametrize("write", [coco, voc, yolo, table])


@FORMS
def test_every_form_has_the_same_boxes(write, tmp_path):
    listing = list_source(write(tmp_path / "data"))
    assert listing.targets.labels == ("cat", "dog")
    names = [listing.images.name(row)[-5] for row in range(4)]
    for name, target in zip(names, listing.targets.rows, strict=True):
        found = target[target[:, 4] >= 0] * (WIDTH, HEIGHT, WIDTH, HEIGHT, 1)
        wanted = [[*box, ("cat", "dog").index(label)] for label, box in OBJECTS[name]]
        np.testing.assert_allclose(found, np.reshape(wanted, (-1, 5)), atol=1e-4)


@FORMS
def test_boxes_beyond_the_image_are_clipped_and_reported(write, tmp_path):
    listing = list_source(write(tmp_path / "data", OBJECTS | {"b": [("cat", (-10, 5, 10, 15))]}))
    target = next(t for row, t in enumerate(listing.targets.rows) if "b.png" in listing.images.name(row))
    np.testing.assert_allclose(target[0], [0, 0.25, 0.25, 0.75, 0], atol=1e-6)
    assert listing.interpretation == "1 boxes reached beyond their image and were clipped."


@FORMS
@pytest.mark.parametrize(
    ("box", "message"),
    [((45, 2, 50, 12), "outside of its image"), ((5, 5, 5, 9), "no area"), ((5, 5, float("nan"), 9), "finite|takes x")],
)
def test_wrong_box_is_refused_with_file_and_row(write, box, message, tmp_path):
    where = {
        coco: "boxes.json, annotation 2",
        voc: "b.xml, object 0",
        yolo: "b.txt, line 1",
        table: "boxes.csv, line 4",
    }
    with pytest.raises(zoo.InputError, match=message) as raised:
        list_source(write(tmp_path / "data", OBJECTS | {"b": [("cat", box)]}))
    assert where[write] in str(raised.value)


def test_stated_size_must_be_that_of_the_image(tmp_path):
    with pytest.raises(zoo.InputError, match=r"a.png has 40x20 pixels .*, but is stated to have 20x40"):
        list_source(coco(tmp_path / "coco", width=HEIGHT, height=WIDTH))
    with pytest.raises(zoo.InputError, match="stated to have 20x40"):
        list_source(voc(tmp_path / "voc", size=(HEIGHT, WIDTH)))


def test_entities_of_xml_are_refused(tmp_path):
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
    with pytest.raises(zoo.InputError, match=r"a\.xml declares entities or a document type"):
        list_source(voc(tmp_path / "data", head=bomb))


def test_unknown_class_is_refused(tmp_path):
    folder = yolo(tmp_path / "data")
    (folder / "labels" / "b.txt").write_text("2 0.5 0.5 0.1 0.1\n")
    with pytest.raises(zoo.InputError, match=r"b.txt, line 1 has the class 2; classes go from 0 to 1"):
        list_source(folder)
    (folder / "labels" / "b.txt").write_text("1 20 10 4 4\n")
    with pytest.raises(zoo.InputError, match=r"b\.txt, line 1 is '1 20 10 4 4', which are pixels"):
        list_source(folder)


@pytest.mark.parametrize("content", ["{}", "[]", '{"images": [{}], "annotations": [], "categories": []}', "{"])
def test_other_json_is_refused(content, tmp_path):
    (tmp_path / "data.json").write_text(content)
    with pytest.raises(zoo.InputError, match=r"data\.json"):
        list_source(tmp_path / "data.json")


def test_boxes_survive_shards(tmp_path):
    many = {chr(97 + i): [("cat", (i, 2, 20 + i, 12))] * (1 + i % 2) for i in range(4)}
    folder = voc(tmp_path / "data", many)
    for part in ("train", "val", "test"):
        (folder / "ImageSets" / "Main").mkdir(parents=True, exist_ok=True)
        names = {"train": "a\nb\n", "val": "c\n", "test": "d\n"}[part]
        (folder / "ImageSets" / "Main" / f"{part}.txt").write_text(names)
    data = training.load_data(folder, image_size=16)
    assert (len(data.train), len(data.validation), len(data.test)) == (2, 1, 1)
    training.write_shards(data, tmp_path / "shards")
    again = training.load_data(tmp_path / "shards", image_size=16)
    assert again.task == "detection"
    np.testing.assert_allclose(again.train.labels, data.train.labels, rtol=1e-6)
