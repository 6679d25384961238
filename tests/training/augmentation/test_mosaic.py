"""Mosaics: parts of four images, and the objects in them."""

import numpy as np
import pytest
import tensorflow as tf

from pocketzoo import training, zoo
from pocketzoo.tasks.object_targets import padded
from pocketzoo.training.augmentation.augmenter import make_augmenter
from pocketzoo.training.data.images import ArrayImages
from pocketzoo.training.data.pipeline import training_batches
from pocketzoo.training.recipe.augmentation import Mosaic

COUNT, HEIGHT, WIDTH = 32, 40, 60
PLAIN = 100.0
"""Gray of the background of image 0; that of image i is by 2 i higher, its object by 60 more."""


def scenes():
    """Images with one bright object each, and its box."""
    rng = np.random.default_rng(0)
    images, boxes = np.zeros((COUNT, HEIGHT, WIDTH, 1), "float32"), []
    for index in range(COUNT):
        left, top = rng.integers(0, (WIDTH - 20, HEIGHT - 16))
        right, bottom = np.add((left, top), rng.integers((12, 10), (20, 16)))
        images[index] = PLAIN + 2 * (index % 4)
        images[index, top:bottom, left:right] += 60
        boxes.append(np.array([[left / WIDTH, top / HEIGHT, right / WIDTH, bottom / HEIGHT, index % 4]]))
    return images, padded(boxes, 2)


@pytest.fixture(scope="module")
def joined():
    images, targets = scenes()
    seeds = tf.stack([tf.zeros(COUNT, tf.int64), tf.range(COUNT, dtype=tf.int64)], axis=1)
    after, moved = make_augmenter((Mosaic(),), "detection")(tf.constant(images), tf.constant(targets), seeds)
    return after.numpy(), moved.numpy()


def test_each_image_has_parts_of_four_and_nothing_else(joined):
    images, _ = joined
    assert images.shape == (COUNT, HEIGHT, WIDTH, 1)
    assert images.min() >= PLAIN - 1e-3
    for image in images:
        corners = image[[0, 0, -1, -1], [0, -1, 0, -1], 0]
        backgrounds = np.where(corners >= PLAIN + 50, corners - 60, corners)
        assert len(np.unique(np.round(backgrounds))) == 4


def test_boxes_are_around_what_remains_of_the_objects(joined):
    images, targets = joined
    rows = [(image[..., 0], row) for image, own in zip(images, targets, strict=True) for row in own if row[4] >= 0]
    assert COUNT < len(rows) < 4 * COUNT  # some are outside of the parts
    for image, (left, top, right, bottom, index) in rows:
        assert 0 <= left < right <= 1
        assert 0 <= top < bottom <= 1
        ys, xs = ((np.arange(side) + 0.5) / side for side in image.shape)
        middle = image[np.abs(ys - (top + bottom) / 2).argmin(), np.abs(xs - (left + right) / 2).argmin()]
        assert middle == pytest.approx(PLAIN + 2 * index + 60, abs=0.1)
        inside = image[(ys > top + 0.02) & (ys < bottom - 0.02)][:, (xs > left + 0.02) & (xs < right - 0.02)]
        assert inside.size == 0 or inside.min() > PLAIN + 55  # no edge of the box is beyond the object


def test_no_object_that_is_seen_is_without_its_box(joined):
    images, targets = joined
    uncovered = []
    for image, own in zip(images, targets, strict=True):
        is_bright = image[..., 0] > PLAIN + 55
        ys, xs = ((np.arange(side) + 0.5) / side for side in is_bright.shape)
        for left, top, right, bottom, index in own:
            if index >= 0:
                is_bright[
                    np.ix_((ys > top - 0.02) & (ys < bottom + 0.02), (xs > left - 0.02) & (xs < right + 0.02))
                ] = 0
        uncovered.append(is_bright.sum())
    # What is left are the parts below 30 % of objects at the edges of the tiles, of 19 x 15 pixels at most.
    assert max(uncovered) <= 4 * 0.3 * 19 * 15
    assert np.mean(np.array(uncovered) == 0) > 0.3


def test_points_are_joined_too():
    images, boxes = scenes()
    points = np.concatenate([(boxes[..., :2] + boxes[..., 2:4]) / 2, boxes[..., 4:]], axis=-1).astype("float32")
    split = training.ImageSplit(ArrayImages(images.astype("uint8")), points, task="counting")
    recipe = training.Recipe(epochs=1, batch_size=COUNT, augmentation=("mosaic",))
    after, moved = (each.numpy() for each in next(iter(training_batches(split, recipe))))
    assert moved.shape == (COUNT, 8, 3)
    for image, own in zip(after, moved, strict=True):
        for x, y, index in own[own[:, 2] >= 0]:
            pixel = image[min(int(y * HEIGHT), HEIGHT - 1), min(int(x * WIDTH), WIDTH - 1), 0]
            assert pixel == pytest.approx(PLAIN + 2 * index + 60, abs=3)


@pytest.mark.parametrize(
    ("names", "targets", "task", "message"),
    [
        (["mosaic"], np.zeros(4, "int32"), "classification", "'mosaic' joins images with the objects in them, not"),
        (["mosaic"], np.zeros((4, 10, 10), "int32"), "segmentation", "'mosaic' joins images with the objects in them"),
        (
            ["mosaic", "mixup"],
            scenes()[1][:4],
            "detection",
            "'mixup' mixes classes or labels, not the targets of a det",
        ),
    ],
)
def test_targets_that_cannot_be_joined_are_refused(names, targets, task, message):
    split = training.ImageSplit(ArrayImages(np.zeros((4, 10, 10, 1), "uint8")), targets, task=task)
    with pytest.raises(zoo.InputError, match=message):
        training_batches(split, training.Recipe(epochs=1, augmentation=tuple(names)))


def test_sheets_show_mosaics_though_they_have_more_boxes(tmp_path):
    data = training.load_data("digit-scenes:detection", image_size=16)
    training.write_contact_sheet(data, tmp_path / "sheet.png", augmentation=(Mosaic(),))
    assert (tmp_path / "sheet.png").stat().st_size > 1000
