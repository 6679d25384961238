"""Keypoints from COCO files."""

import json

import numpy as np
import pytest
from PIL import Image

from pocketzoo import training, zoo
from pocketzoo.training.data.sources import list_source

NAMES = ["left eye", "right eye"]
PERSON = {"id": 1, "name": "person", "keypoints": NAMES}


def coco(folder, *annotations, categories=(PERSON,)):
    """Four images of 40x20 pixels, and annotations: the index of the image and its keypoints."""
    (folder / "images").mkdir(parents=True)
    for index in range(4):
        Image.new("RGB", (40, 20), (60 * index, 0, 0)).save(folder / "images" / f"{index}.png")
    rows = [
        {"id": 70 + number, "image_id": image, "category_id": 1, "keypoints": points, **more}
        for number, (image, points, *others) in enumerate(annotations)
        for more in (others or [{}])
    ]
    images = [{"id": index, "file_name": f"{index}.png"} for index in range(4)]
    content = {"images": images, "annotations": rows, "categories": list(categories)}
    (folder / "points.json").write_text(json.dumps(content))
    return folder / "points.json"


def test_keypoints_are_read_with_their_names(tmp_path):
    crowd = {"iscrowd": 1}
    file = coco(tmp_path, (0, [10, 5, 2, 0, 0, 0]), (0, [1, 1, 1, 2, 2, 1], crowd), (2, [40, 20, 1, 0, 10, 1]))
    listing = list_source(file)
    assert (listing.targets.task, listing.targets.labels) == ("keypoints", tuple(NAMES))
    expected = np.zeros((4, 2, 3))
    expected[0, 0], expected[2] = (0.25, 0.25, 2), [(1, 1, 1), (0, 0.5, 1)]
    np.testing.assert_allclose(listing.targets.rows, expected)
    assert len(training.load_data(file, image_size=16).train) == 2


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        (
            [(0, [1, 1, 1, 2, 2])],
            r"annotation 0 \(id 70\) has the keypoints .*; it takes x, y and visibility of 2 points",
        ),
        ([(0, [1, 1, 1, 2, 2, None])], "it takes x, y and visibility of 2 points"),
        ([(0, None)], "has the keypoints None; it takes x, y and visibility of 2 points"),
        ([(0, [1, 1, 3, 2, 2, 1])], "has the visibility 3 for point 0; it takes 0, 1 or 2"),
        ([(0, [1, 1, 1, 41, 2, 1])], r"point 1 is at \(41, 2\), outside of its 40x20 pixels"),
        ([(0, [1, 1, 1, float("nan"), 2, 1])], r"point 1 is at \(nan, 2\), outside of its 40x20 pixels"),
        ([(3, [1, 1, 1, 2, 2, 1])] * 2, r"annotation 1 \(id 71\) is another object of image 3; keypoints take one"),
        ([(4, [1, 1, 1, 2, 2, 1])], "has the image_id 4, which the file does not have"),
        ([], "points.json has no objects with keypoints"),
    ],
)
def test_wrong_annotation_is_refused_with_file_and_id(tmp_path, annotations, message):
    with pytest.raises(zoo.InputError, match=message):
        list_source(coco(tmp_path, *annotations))


def test_ids_that_occur_twice_are_refused(tmp_path):
    with pytest.raises(zoo.InputError, match="has two categories of the id 1; it takes a different one for each"):
        list_source(coco(tmp_path / "a", (0, [1, 1, 1, 2, 2, 1]), categories=(PERSON, PERSON | {"name": "dog"})))
    file = coco(tmp_path / "b", (0, [1, 1, 1, 2, 2, 1]))
    file.write_text(file.read_text().replace('"id": 3', '"id": 2'))
    with pytest.raises(zoo.InputError, match="has two images of the id 2; it takes a different one for each"):
        list_source(file)


def test_keypoints_of_two_categories_are_refused(tmp_path):
    file = coco(tmp_path, (0, [1, 1, 1, 2, 2, 1]), categories=(PERSON, PERSON | {"id": 2, "name": "dog"}))
    with pytest.raises(zoo.InputError, match="has 2 categories with keypoints; it takes one"):
        list_source(file)
