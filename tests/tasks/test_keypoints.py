"""Keypoints: targets that follow augmentation, the head, metrics, and the way from data to a validated export."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pocketzoo import export, training, zoo
from pocketzoo.tasks import get_task
from pocketzoo.tasks.keypoints import mirrored_order
from pocketzoo.training.engine.losses import make_loss
from pocketzoo.training.recipe.augmentation import Flip
from pocketzoo.training.recipe.loss import KeypointDistance

TASK = get_task("keypoints")
NAMES = ("left eye", "right eye", "nose")
COLORS = np.array([[255, 40, 40], [40, 255, 40], [60, 60, 255]])
SIDE = 32


def faces(count, seed=0, side=SIDE):
    """Dark images with a dot for each point, in its color; a few points are absent."""
    random = np.random.default_rng(seed)
    points = np.concatenate([random.uniform(0.1, 0.9, (count, 3, 2)), random.random((count, 3, 1)) > 0.1], axis=-1)
    rows, columns = np.mgrid[:side, :side] + 0.5
    images = random.integers(0, 30, (count, side, side, 3)).astype("float64")
    for image, own in zip(images, points, strict=True):
        for (x, y, visible), color in zip(own, COLORS, strict=True):
            near = np.exp(-((columns - x * side) ** 2 + (rows - y * side) ** 2) / 6)
            image += visible * near[..., np.newaxis] * color
    points[points[..., 2] == 0] = 0
    return images.clip(0, 255).round().astype("uint8"), points.astype("float32")


# ---- Targets


@pytest.mark.parametrize(
    ("labels", "order"),
    [
        (("left_eye", "right_eye", "nose"), [1, 0, 2]),
        (("nose", "L-ear", "R-ear", "left ankle"), [0, 2, 1, 3]),
        (("bright", "cleft"), [0, 1]),
        ((), []),
    ],
)
def test_left_and_right_are_known_by_name(labels, order):
    assert mirrored_order(labels) == order


def test_flip_moves_points_and_exchanges_left_and_right():
    images, points = faces(40)
    data = training.from_arrays(images, points, task="keypoints", labels=NAMES)
    model = zoo.create_model("resnet20", head="keypoints", labels=NAMES, input_shape=(SIDE, SIDE, 3))
    assert model.output_shape == (None, 3, 3)
    from pocketzoo.training.data.pipeline import augmented_images

    rows = np.arange(16)
    moved, targets = augmented_images(data.train, training.Recipe(augmentation=(Flip(),)), rows, epoch=0)
    before, old = data.train.images.take(rows), data.train.labels[rows]
    flipped = [not np.array_equal(*pair) for pair in zip(moved, before, strict=True)]
    assert 0 < sum(flipped) < len(rows)
    for is_flipped, new, own in zip(flipped, targets, old, strict=True):
        expected = own.copy()
        if is_flipped:
            expected = expected[[1, 0, 2]]
            expected[:, 0] = np.where(expected[:, 2] > 0, 1 - expected[:, 0], 0)
        np.testing.assert_allclose(new, expected, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.floats(-0.4, 0.4), st.floats(-0.4, 0.4))
def test_points_that_leave_the_image_are_not_labeled(right, down):
    points = tf.constant([[[0.5, 0.5, 1.0], [0.9, 0.1, 2.0], [0.0, 0.0, 0.0]]])

    class Shift:
        def points(self, positions):
            return positions + tf.constant((right, down))

    moved = TASK.warp_targets(points, Shift()).numpy()[0]
    for before, after in zip(points.numpy()[0], moved, strict=True):
        place = before[:2] + np.float32((right, down))
        is_inside = before[2] > 0 and (place >= 0).all() and (place <= 1).all()
        np.testing.assert_allclose(after, [*place, before[2]] if is_inside else 0, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((0, 1, 0, 1.5), r"have point 1 of row 0 at \(1.5, .*\); x and y are shares of width and height"),
        ((2, 0, 1, np.nan), r"have point 0 of row 2 at \(.*, nan\); x and y are shares"),
        ((1, 2, 2, 3), "have the visibility 3 for point 2 of row 1; it takes 0"),
    ],
)
def test_points_that_cannot_be_are_refused(change, message):
    *place, value = change
    points = np.full((4, 3, 3), 0.5)
    points[..., 2] = 1
    points[tuple(place)] = value
    with pytest.raises(zoo.InputError, match=message):
        TASK.check_targets(points, "the targets of train")


def test_points_without_visibility_are_all_visible():
    checked = TASK.check_targets(np.full((2, 3, 2), 0.25), "the targets")
    np.testing.assert_array_equal(checked[..., 2], 1)


def write_table(folder, rows):
    for name in "abcdefghijkl":
        Image.new("RGB", (20, 10)).save(folder / f"{name}.png")
    lines = [f"{name}.png,{rows.get(name, '5 5 1; 10 2 2; 0 0 0')}" for name in "abcdefghijkl"]
    (folder / "table.csv").write_text("\n".join(["image,keypoints", *lines]))
    return folder / "table.csv"


def test_points_of_a_table_are_in_pixels_and_survive_shards(tmp_path):
    (tmp_path / "keypoints.txt").write_text("left eye\nright eye\nnose\n")
    for row, name in enumerate("abcdefghijkl"):
        Image.new("RGB", (20, 10), (row, 0, 0)).save(tmp_path / f"{name}.png")
    lines = [f"{name}.png,5 5 1; 10 2 2; 0 0 0" for name in "abcdefghijkl"]
    (tmp_path / "table.csv").write_text("\n".join(["image,keypoints", *lines]))
    data = training.load_data(tmp_path / "table.csv", image_size=16)
    assert (data.task, data.labels) == ("keypoints", NAMES)
    np.testing.assert_allclose(data.train.labels[0], [[0.25, 0.5, 1], [0.5, 0.2, 2], [0, 0, 0]], atol=1e-6)
    training.write_shards(data, tmp_path / "shards")
    again = training.load_data(tmp_path / "shards", image_size=16)
    np.testing.assert_array_equal(again.train.labels, data.train.labels)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("5 5 1; 25 2 1; 0 0 0", r"c\.png: point 1 is at \(25, 2\), outside of its 20x10 pixels"),
        ("5 5 1; 5 2 1", "column 'keypoints' has 2 to 3 points"),
        ("5 5; 1 2; 3 4", "line 4, column 'keypoints': '5 5; 1 2; 3 4' has no x, y and visibility"),
        ("5 5 1; x 2 1; 0 0 0", "has a value that is no number"),
        ("5 5 1; 5 2 3; 0 0 0", "line 4, column 'keypoints': .* has the visibility 3 for point 1; it takes 0"),
        ("5 5 nan; 5 2 1; 0 0 0", "line 4, column 'keypoints': .* has the visibility nan for point 0"),
    ],
)
def test_cells_that_cannot_be_are_refused_with_their_place(tmp_path, cell, message):
    with pytest.raises(zoo.InputError, match=message):
        training.load_data(write_table(tmp_path, {"c": cell}), image_size=16)


def test_features_without_positions_are_refused():
    with pytest.raises(zoo.InputError, match=r"a keypoints head takes a map \(rank 4\) of a fixed size"):
        zoo.create_model("lenet5", head="keypoints", classes=3)
    with pytest.raises(zoo.InputError, match=r"takes a map of 2x2 positions or more.*these features have 2x1"):
        zoo.create_model("mobilenet_v1_025", head="keypoints", classes=3, input_shape=(64, 32, 3))


def test_loss_counts_positions_of_labeled_points_alone():
    targets = np.float32([[[0.5, 0.5, 1], [0, 0, 0]]])
    outputs = np.float32([[[0.4, 0.7, 0.9], [0.8, 0.8, 0.2]]])
    expected = np.mean([0.3 - 0.5 * np.log(0.9), -0.5 * np.log(0.8)])
    assert float(make_loss(KeypointDistance(visibility_weight=0.5), False)(targets, outputs)) == pytest.approx(
        expected, rel=1e-5
    )


def test_metrics_are_those_of_the_definitions():
    targets = np.float32([[[0.2, 0.2, 1], [0.6, 0.5, 2], [0, 0, 0]], [[0.5, 0.5, 1], [0, 0, 0], [0, 0, 0]]])
    outputs = targets + np.float32([[[0.02, 0.04, 0], [0.3, 0, 0], [1, 1, 0]], [[0, 0, 0]] * 3])
    accumulator = TASK.accumulator(NAMES)
    accumulator.add(targets, outputs)
    evaluation = accumulator.evaluation()
    assert evaluation.pck == pytest.approx(2 / 3)
    assert evaluation.distance == pytest.approx((0.002**0.5 + 0.3) / 3, abs=1e-6)
    area = 0.4 * 0.3
    similarity = np.mean([np.exp(-(far**2) / (2 * 0.01 * area)) for far in (0.002**0.5, 0.3)])
    assert evaluation.oks == pytest.approx(similarity, rel=1e-4)
    assert evaluation.per_point["nose"] == {"pck": None, "distance": None, "labeled": 0}
    assert accumulator.scores.mean() == pytest.approx(accumulator.score)


def test_targets_without_any_labeled_point_are_refused():
    accumulator = TASK.accumulator(NAMES)
    accumulator.add(np.zeros((2, 3, 3)), np.zeros((2, 3, 3)))
    with pytest.raises(zoo.InputError, match="no point of the targets is labeled"):
        accumulator.evaluation()


# ---- From data to an export


@pytest.fixture(scope="module")
def finder(tmp_path_factory):
    """A net that finds dots, its data and its bundle."""
    keras.utils.set_random_seed(0)
    images, points = faces(400)
    data = training.from_arrays(images, points, task="keypoints", labels=NAMES)
    image = keras.Input(data.image_shape)
    x = keras.layers.Rescaling(1 / 255)(image)
    for width, size in ((16, 5), (16, 3)):
        x = keras.layers.Conv2D(width, size, padding="same", activation="relu", name=f"conv{size}")(x)
    own = keras.Model(image, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x)), name="own")
    model = zoo.replace_head(own, "keypoints", labels=NAMES, features="conv3")
    recipe = training.Recipe(epochs=20, batch_size=16, optimizer={"name": "adam", "lr": 0.01}, augmentation=(Flip(),))
    training.fit(model, data, recipe, verbose=False)
    bundle = tmp_path_factory.mktemp("finder") / "bundle"
    manifest = export.export_model(
        model, bundle, targets=["mobile-cpu", "gpu", "server-int8"], calibration=data.train, evaluation=data.test
    )
    return model, data, bundle, manifest


def test_points_are_found_after_a_few_epochs(finder):
    model, data, *_ = finder
    evaluation = training.evaluate(model, data.test)
    assert evaluation.pck > 0.9
    assert evaluation.distance < 0.04


def test_artifacts_in_integers_find_the_same_points(finder):
    for record in finder[3].artifacts:
        if "int8" in record.format:
            gates = {gate.name: gate for check in record.checks for gate in check.gates}
            assert gates["PCK drop"].figure <= 0.01


def test_predict_tells_and_draws_the_points(finder, tmp_path, pocketzoo):
    images, points = faces(1, seed=9)
    Image.fromarray(images[0]).save(tmp_path / "face.png")
    file = next(finder[2].glob("*-fp32.tflite"))
    code, out, _ = pocketzoo("predict", file, tmp_path / "face.png", "--json", "--pictures", tmp_path / "drawn")
    assert code == 0
    rows = json.loads(out)[0]["top"]
    assert [row["label"] for row in rows] == list(NAMES)
    for row, (x, y, visible) in zip(rows, points[0], strict=True):
        assert not visible or np.hypot(row["x"] - x, row["y"] - y) < 0.06
    drawn = np.asarray(Image.open(tmp_path / "drawn" / "face.png"))
    assert drawn.shape == images[0].shape
    assert (drawn != images[0]).any()


def test_report_draws_the_points(finder, tmp_path):
    training.write_report(finder[0], finder[1].test, tmp_path / "report")
    assert Image.open(tmp_path / "report" / "worst.png").size[0] > 300


def test_views_are_not_averaged(finder):
    with pytest.raises(zoo.InputError, match="those of a keypoints move with the image"):
        training.evaluate(finder[0], finder[1].test, test_time_augmentation="flip")
