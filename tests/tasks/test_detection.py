"""Detection: targets, candidates, the loss, augmentation and metrics."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pocketzoo import layers, training, zoo
from pocketzoo.tasks import get_task
from pocketzoo.tasks.boxes import found_in, overlaps
from pocketzoo.tasks.object_targets import padded
from pocketzoo.training.data import digit_scenes
from pocketzoo.training.engine.detection_losses import ciou_loss, edge_distance, giou_loss
from pocketzoo.training.engine.objectives import objectives

TASK = get_task("detection")
LABELS = ("cat", "dog", "hen")
edges = st.lists(st.floats(0, 1, width=32), min_size=4, max_size=4).map(
    lambda e: [min(e[0], e[2]) * 0.9, min(e[1], e[3]) * 0.9, max(e[0], e[2]) * 0.9 + 0.1, max(e[1], e[3]) * 0.9 + 0.1]
)


def candidates(*rows, classes=3):
    """Outputs for one image: rows of edges, class and score."""
    return np.array([[*box, *(score * (np.arange(classes) == index))] for *box, index, score in rows], "float32")


def evaluated(targets, outputs):
    accumulator = TASK.accumulator(LABELS)
    accumulator.add(padded([np.array(each).reshape(-1, 5) for each in targets]), np.stack(outputs))
    return accumulator


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ([0.1, 0.1, 0.5, np.nan, 0], "no finite number"),
        ([0.1, 0.1, 0.1, 0.5, 0], "row 1, which has no area"),
        ([0.1, 0.1, 1.5, 0.5, 0], "row 1, which is not within the image"),
        ([0.1, 0.1, 0.5, 0.5, 3], "row 1, which has a class that is none"),
        ([0.1, 0.1, 0.5, 0.5, 0.5], "row 1, which has a class that is none"),
    ],
)
def test_box_that_is_none_is_refused_with_its_row(box, message):
    with pytest.raises(zoo.InputError, match=message):
        TASK.check_targets(np.array([[[0, 0, 1, 1, 0]], [box]], "float64"), "the targets", num_outputs=3)


def test_images_without_objects_are_targets():
    targets = TASK.check_targets(padded([np.zeros((0, 5)), np.array([[0, 0, 1, 1, 2]])]), "the targets")
    assert targets[0, 0].tolist() == [0, 0, 0, 0, -1]
    assert TASK.count_outputs(targets) == 3


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(edges, st.integers(0, 2)), max_size=4))
def test_targets_of_any_number_of_objects_survive_a_record(objects):
    target = padded([np.array([[*box, index] for box, index in objects]).reshape(-1, 5)])[0]
    np.testing.assert_array_equal(TASK.stack([TASK.decode(TASK.encode(target), 3)])[0], target)


def test_boxes_follow_their_images_and_are_dropped_where_little_remains():
    from pocketzoo.training.augmentation.affine import AffineWarp, affine_matrix, crop_and_resize

    targets = padded([np.array([[0.0, 0.2, 0.4, 0.6, 1], [0.8, 0.2, 1.0, 0.6, 2]])])
    mirrored = affine_matrix(x_from_x=tf.constant([-1.0], tf.float64))
    moved = TASK.warp_targets(targets, AffineWarp(crop_and_resize, mirrored, (20, 10))).numpy()
    np.testing.assert_allclose(moved[0], [[0.6, 0.2, 1.0, 0.6, 1], [0.0, 0.2, 0.2, 0.6, 2]], atol=1e-6)
    right = affine_matrix(x=tf.constant([-3.0], tf.float64))  # by 0.3 of the width, so that the second box leaves
    moved = TASK.warp_targets(targets, AffineWarp(crop_and_resize, right, (20, 10))).numpy()
    np.testing.assert_allclose(moved[0], [[0.3, 0.2, 0.7, 0.6, 1], [0, 0, 0, 0, -1]], atol=1e-6)


@pytest.fixture(scope="module")
def head():
    head = layers.DetectionHead(3, labels=LABELS, name="head")
    head.build((None, 6, 8, 5))
    return head


def test_only_peaks_keep_their_score_in_inference():
    logits = np.full((1, 3, 4, 1), -3.0, "float32")
    logits[0, 1, 1], logits[0, 1, 2], logits[0, 1, 3] = 2.0, 1.5, 1.9
    kept = layers.PeakScores()(logits).numpy()[0, 1, :, 0]
    np.testing.assert_allclose(kept, [0, 1 / (1 + np.exp(-2)), 0, 1 / (1 + np.exp(-1.9))], rtol=1e-6)
    assert (layers.PeakScores()(logits, training=True).numpy() > 0).all()


def test_candidates_are_boxes_inside_the_image(head):
    rng = np.random.default_rng(0)
    outputs = head(10 * rng.normal(size=(2, 6, 8, 5)).astype("float32")).numpy()
    assert outputs.shape == (2, 48, 7)
    assert outputs.min() >= 0
    assert outputs.max() <= 1
    assert (outputs[..., 2:4] >= outputs[..., :2]).all()
    cells = head.cells
    assert (outputs[..., :2] <= cells[:, :2]).all()
    assert (outputs[..., 2:4] >= cells[:, :2]).all()


@pytest.fixture(scope="module")
def pyramid():
    """Maps of the strides 32, 16 and 8 of a detector."""
    return zoo.create_model("fcos_mobilenet_v2_035", labels=list(LABELS), input_shape=(64, 96, 3), widths=(8, 8, 8))


def test_pyramid_has_the_candidates_of_all_its_maps(pyramid):
    assert pyramid.output_shape == (None, 2 * 3 + 4 * 6 + 8 * 12, 7)
    cells = pyramid.get_layer("head").cells
    np.testing.assert_allclose(
        cells[[0, 6, -1]],
        [[1 / 6, 1 / 4, 1 / 3, 1 / 2], [1 / 12, 1 / 8, 1 / 6, 1 / 4], [23 / 24, 15 / 16, 1 / 12, 1 / 8]],
    )


def test_object_of_a_pyramid_is_learned_by_the_map_for_its_size(pyramid):
    loss = objectives(pyramid)["loss"]
    cells = pyramid.get_layer("head").cells
    for box, map_sides in ([0.05, 0.0, 0.95, 1.0], (4, 6)), ([0.45, 0.4, 0.75, 0.85], (8, 12)):
        true = np.array([[*box, 1]])
        away = ((cells[:, :2] - (true[0, :2] + true[0, 2:4]) / 2) ** 2).sum(axis=1)
        of_map = np.isclose(cells[:, 3], 1 / map_sides[0])
        losses = {}
        for is_right in (True, False):
            outputs = np.zeros((1, len(cells), 7), "float32")
            outputs[..., :4] = box
            outputs[0, np.where(of_map == is_right, away, 9).argmin(), 5] = 1
            losses[is_right] = float(loss(padded([true]), outputs))
        assert losses[True] == pytest.approx(0, abs=1e-3)
        assert losses[False] > 1


def test_heads_of_one_map_go_on_a_pyramid(pyramid):
    deepest, finest = pyramid.get_layer("pyramid1"), pyramid.get_layer("pyramid3")
    assert zoo.replace_head(pyramid, "classification").get_layer("head").input is deepest.output
    assert zoo.replace_head(pyramid, "segmentation").get_layer("head").input is finest.output
    with pytest.raises(zoo.InputError, match="widths has 6 entries, but the backbone has no map of stride"):
        zoo.create_model("fcos_mobilenet_v2_035", widths=(8,) * 6)


def test_the_best_of_overlapping_boxes_of_a_class_remains():
    first, shifted, apart = (0.1, 0.1, 0.5, 0.5), (0.12, 0.1, 0.52, 0.5), (0.3, 0.1, 0.7, 0.5)
    output = candidates((*shifted, 1, 0.6), (*first, 1, 0.9), (*shifted, 2, 0.7), (*apart, 1, 0.8))
    boxes, classes, scores = found_in(output)
    np.testing.assert_allclose(boxes, [first, apart, shifted])
    assert classes.tolist() == [1, 1, 2]
    np.testing.assert_allclose(scores, [0.9, 0.8, 0.7])


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(edges, st.integers(0, 1), st.floats(0.25, 1, width=32)), min_size=1, max_size=12))
def test_no_two_boxes_that_remain_are_the_same_object(rows):
    output = candidates(*[(*box, index, score) for box, index, score in rows], classes=2)
    boxes, classes, scores = found_in(output)
    assert scores.max() == output[:, 4:].max()
    same = (overlaps(boxes, boxes) >= 0.6) & (classes[:, None] == classes)
    assert (same == np.eye(len(boxes), dtype=bool)).all()


def test_vector_is_refused_by_the_head():
    with pytest.raises(zoo.InputError, match="takes a map"):
        zoo.create_model("lenet5", head="detection", classes=3)


@settings(deadline=None, max_examples=50)
@given(edges, edges)
def test_box_losses_are_least_for_the_same_box(box, other):
    pair = np.array([box], "float32"), np.array([other], "float32")
    for loss in (giou_loss, ciou_loss, edge_distance):
        assert float(loss(pair[0], pair[0])[0]) == pytest.approx(0, abs=1e-4)
        assert float(loss(*pair)[0]) >= -1e-5
    assert float(giou_loss(*pair)[0]) >= 1 - overlaps(*pair)[0, 0] - 1e-4


@pytest.mark.parametrize("boxes", ["giou", "ciou", "l1"])
def test_perfect_candidates_have_the_least_loss(boxes):
    image = keras.Input((48, 64, 3))
    features = keras.layers.Conv2D(5, 3, 8, padding="same")(image)
    model = keras.Model(image, layers.DetectionHead(3, labels=LABELS, name="head")(features))
    loss = objectives(model, training.Recipe(loss={"name": "scores_and_boxes", "boxes": boxes}).loss)["loss"]
    cells = model.get_layer("head").cells
    targets = padded([np.array([[0.1, 0.2, 0.6, 0.8, 1]]), np.zeros((0, 5))])
    perfect = np.zeros((2, 48, 7), "float32")
    perfect[0, :, :4] = targets[0, 0, :4]
    perfect[0, ((cells[:, :2] - (0.35, 0.5)) ** 2).sum(axis=1).argmin(), 5] = 1
    best = float(loss(targets, perfect))
    assert best == pytest.approx(0, abs=1e-3)
    for wrong in (perfect[:, ::-1], perfect[..., [0, 1, 2, 3, 6, 4, 5]], np.full_like(perfect, 0.5)):
        assert float(loss(targets, wrong)) > best + 0.1
    assert float(loss(targets, perfect[:, ::-1], np.array([0.0, 1.0]))) < float(loss(targets, perfect[:, ::-1]))


def test_average_precision_counts_duplicates_misses_and_wrong_classes():
    truth = [[0.1, 0.1, 0.5, 0.5, 0], [0.5, 0.5, 0.9, 0.9, 1]]
    right, second = (0.1, 0.1, 0.5, 0.5, 0, 0.9), (0.5, 0.5, 0.9, 0.9, 1, 0.8)
    assert evaluated([truth], [candidates(right, second)]).score == pytest.approx(1)
    assert evaluated([truth], [candidates(right, (*second[:4], 2, 0.8))]).score == pytest.approx(0.5)
    assert evaluated([truth], [candidates(right, (*right[:5], 0.95))]).score == pytest.approx(0.5, abs=0.01)
    both = evaluated([truth, truth], [candidates(right, second), candidates(right, (*right[:5], 0.95))]).evaluation()
    assert 0 < both.mean_average_precision < 1
    assert both.per_class["hen"]["mAP"] is None
    assert both.recall == 0.75


def test_images_without_objects_are_evaluated():
    empty = evaluated([np.zeros((0, 5))] * 2, [candidates((0.1, 0.1, 0.5, 0.5, 0, 0.0))] * 2)
    assert empty.evaluation().mean_average_precision == 0
    assert empty.scores.tolist() == [1, 1]


def test_predictions_have_boxes_and_a_picture():
    output = candidates((0.5, 0.5, 0.9, 0.9, 1, 0.7), (0.1, 0.2, 0.4, 0.6, 2, 0.9), (0, 0, 1, 1, 0, 0.2))
    assert TASK.predictions(output, LABELS, None) == [("hen", pytest.approx(0.9)), ("dog", pytest.approx(0.7))]
    assert TASK.places(output, LABELS, 1)[0] == pytest.approx({"left": 0.1, "top": 0.2, "right": 0.4, "bottom": 0.6})
    drawn = np.asarray(TASK.draw_over(Image.new("L", (300, 200)), output, LABELS))
    assert drawn.shape == (200, 300, 3)
    assert drawn[int(0.2 * 199), 60].any()
    assert not drawn[10, 10].any()
    assert len(found_in(output)[0]) == 3


def test_digit_scenes_have_a_box_around_each_digit(monkeypatch):
    monkeypatch.setattr(digit_scenes, "SCENES", {"train": 4, "validation": 4, "test": 20})
    data = training.load_data("digit-scenes:detection", image_size=32)
    masks = training.load_data("digit-scenes", image_size=32)
    assert data.task == "detection"
    np.testing.assert_array_equal(data.test.images.take(np.arange(4)), masks.test.images.take(np.arange(4)))
    for target, mask in zip(data.test.labels[:20], masks.test.labels[:20], strict=True):
        for *box, digit in target[target[:, 4] >= 0]:
            left, top, right, bottom = np.round(np.array(box) * 32).astype(int)
            ink = mask[top:bottom, left:right] == digit + 1
            assert all(line.any() for line in (ink[0], ink[-1], ink[:, 0], ink[:, -1]))
