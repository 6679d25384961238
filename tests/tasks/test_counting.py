"""Counting: points as targets, the density and its loss, counts, and the way from data to a validated export."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pocketzoo import export, layers, training, zoo
from pocketzoo.tasks import get_task
from pocketzoo.tasks.object_targets import padded
from pocketzoo.training.data import digit_scenes
from pocketzoo.training.engine.density_loss import DensityLoss, density_of
from pocketzoo.training.recipe.augmentation import Flip
from pocketzoo.training.recipe.loss import Density

TASK = get_task("counting")
LABELS = ("green", "red")
SIDE = 32
places = st.floats(0, 1, width=32)
points = st.lists(st.tuples(places, places, st.integers(0, 2)), max_size=4)


def targets_of(*images):
    """Targets of images with these points."""
    return padded([np.array(each, "float32").reshape(-1, 3) for each in images], values=3)


def dots(count, seed=0):
    """Dark images with up to five dots of each of two colors, and their points."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    images = random.integers(0, 40, (count, SIDE, SIDE, 3)).astype("float64")
    each = [
        [(*random.uniform(0.1, 0.9, 2), index) for index in (0, 1) for _ in range(random.integers(0, 6))]
        for _ in range(count)
    ]
    for image, own in zip(images, each, strict=True):
        for x, y, index in own:
            near = np.exp(-((columns - x * SIDE) ** 2 + (rows - y * SIDE) ** 2) / 3)
            image += near[..., np.newaxis] * ((40, 220, 40), (220, 40, 40))[index]
    return images.clip(0, 255).round().astype("uint8"), targets_of(*each)


# ---- Targets


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ((0.5, np.nan, 0), "have a value that is no finite number"),
        ((0.5, 1.5, 0), "have the point 0.5, 1.5, 0 in row 1, which is not within the image"),
        ((0.5, 0.5, 2), "have the point 0.5, 0.5, 2 in row 1, which has a class that is none"),
        ((0.5, 0.5, 0.5), "which has a class that is none"),
    ],
)
def test_point_that_is_none_is_refused_with_its_row(point, message):
    with pytest.raises(zoo.InputError, match=message):
        TASK.check_targets(targets_of([(0.1, 0.2, 1)], [point]), "the targets", num_outputs=2)


@settings(deadline=None, max_examples=30)
@given(points)
def test_any_number_of_points_survives_a_record(objects):
    target = targets_of(objects)[0]
    decoded = TASK.decode(TASK.encode(target), 3)
    np.testing.assert_array_equal(TASK.stack([decoded])[0], target)


def test_boxes_are_counted_by_their_middles():
    boxes = padded([np.array([[0.1, 0.2, 0.5, 0.8, 1]]), np.zeros((0, 5))])
    np.testing.assert_allclose(TASK.check_targets(boxes, "the targets"), targets_of([(0.3, 0.5, 1)], []), atol=1e-6)


def test_points_follow_their_images_and_are_dropped_outside():
    class Shift:
        def points(self, positions):
            return positions + tf.constant((0.4, 0.0))

    moved = TASK.warp_targets(tf.constant(targets_of([(0.5, 0.2, 1), (0.7, 0.2, 0)], [])), Shift()).numpy()
    np.testing.assert_allclose(moved, targets_of([(0.9, 0.2, 1)], [], [(0, 0, 0)] * 2)[:2], atol=1e-6)


def write_table(folder, rows):
    for index, name in enumerate("abcdefghijkl"):
        Image.new("RGB", (40, 20), (index, 0, 0)).save(folder / f"{name}.png")
    others = [f"{name}.png,cat,20,5" for name in "defghijkl"]
    (folder / "points.csv").write_text("\n".join(["image,label,x,y", *rows, *others]))
    return folder / "points.csv"


def test_points_of_a_table_are_in_pixels_and_survive_shards(tmp_path):
    table = write_table(tmp_path, ["a.png,dog,10,5", "a.png,cat,40,20", "b.png,dog,0,0", "c.png,,,"])
    data = training.load_data(table, image_size=16)
    assert (data.task, data.labels) == ("counting", ("cat", "dog"))
    found = {
        split.name_of(row)[-5:]: split.labels[row]
        for split in (data.train, data.test, data.validation)
        for row in range(len(split))
    }
    np.testing.assert_allclose(found["a.png"], [[0.25, 0.25, 1], [1, 1, 0]])
    np.testing.assert_allclose(found["c.png"], [[0, 0, -1]] * 2)
    training.write_shards(data, tmp_path / "shards")
    again = training.load_data(tmp_path / "shards", image_size=16)
    np.testing.assert_array_equal(again.train.labels.sum(), data.train.labels.sum())
    assert training.survey(table).labels["dog"] == {"smallest": 0, "mean": pytest.approx(2 / 12), "largest": 1}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.png,dog,41,5", "points.csv, line 3 has the point 41, 5, which is outside of its 40x20 pixels"),
        ("a.png,dog,nan,5", "points.csv, line 3 has nan as x; it takes pixels"),
        ("a.png,dog,4,", "points.csv, line 3 has nothing as y; it takes pixels"),
        ("a.png,dog,4,low", "points.csv, line 3 has 'low' as y; it takes pixels"),
        ("a.png,,4,5", "points.csv, line 3 has a point without a label"),
        (",dog,4,5", "points.csv, line 3, column 'image': it is empty"),
    ],
)
def test_row_that_is_no_point_is_refused_with_its_line(tmp_path, row, message):
    with pytest.raises(zoo.InputError, match=message):
        training.load_data(write_table(tmp_path, ["b.png,dog,1,1", row]), image_size=16)


def test_table_of_points_has_no_other_columns(tmp_path):
    (tmp_path / "points.csv").write_text("image,label,x,y,size\na.png,dog,1,1,3\n")
    with pytest.raises(zoo.InputError, match="has points and the column 'size', which is none of theirs"):
        training.load_data(tmp_path / "points.csv")


def test_digit_scenes_have_a_point_in_each_digit(monkeypatch):
    monkeypatch.setattr(digit_scenes, "SCENES", {"train": 4, "validation": 4, "test": 20})
    data = training.load_data("digit-scenes:counting", image_size=32)
    counts = training.load_data("digit-scenes:count", image_size=32)
    assert (data.task, data.labels) == ("counting", ("digits",))
    np.testing.assert_array_equal((data.test.labels[..., 2] == 0).sum(axis=1), counts.test.labels[:, 0])


# ---- The loss and the head


@settings(deadline=None, max_examples=30)
@given(points, st.floats(0.3, 3))
def test_density_of_each_point_sums_to_one_and_is_highest_there(objects, spread):
    density = density_of(tf.constant(targets_of(objects)), (1, 6, 9, 3), spread).numpy()[0]
    expected = np.bincount([index for *_, index in objects], minlength=3)
    np.testing.assert_allclose(density.sum(axis=(0, 1)), expected, atol=1e-5)
    for x, y, index in objects[:1] if len(objects) == 1 else ():
        row, column, kind = np.unravel_index(density.argmax(), density.shape)
        assert kind == index
        assert abs(row + 0.5 - 6 * y) <= 0.5 + 1e-5
        assert abs(column + 0.5 - 9 * x) <= 0.5 + 1e-5


def test_loss_is_that_of_its_definition():
    targets = targets_of([(0.5, 0.5, 0)], [])
    truth = density_of(tf.constant(targets), (2, 17, 17, 1), 1.5).numpy()
    loss = DensityLoss(Density(spread=1.5, count_weight=0.25))
    assert float(loss(targets, truth)) == pytest.approx(0, abs=1e-6)
    missed = np.zeros_like(truth)
    assert float(loss(targets, missed)) == pytest.approx((0.5 + 0.25) / 2, rel=0.01)
    assert float(loss(targets, missed, np.array([0.0, 1.0]))) == pytest.approx(0, abs=1e-6)
    assert float(loss(targets, truth[:, :, ::-1][:, ::-1])) == pytest.approx(0, abs=1e-5)


def test_negative_densities_have_a_gradient_in_training_alone():
    head = layers.DensityHead(2)
    head.build((None, 4, 4, 3))
    head.scores.bias.assign([-1.0, 1.0])
    features = np.zeros((1, 4, 4, 3), "float32")
    values = 1 / (2 * np.pi)
    np.testing.assert_allclose(head(features)[0, 0, 0], [0, values], rtol=1e-6)
    np.testing.assert_allclose(head(features, training=True)[0, 0, 0], [-0.1 * values, values], rtol=1e-6)


def test_vector_is_refused_by_the_head():
    with pytest.raises(zoo.InputError, match=r"a counting head takes a map \(rank 4\)"):
        zoo.create_model("lenet5", head="counting", classes=2)


# ---- Metrics and predictions


def test_metrics_are_those_of_the_definitions():
    targets = targets_of([(0.1, 0.1, 0)] * 3, [(0.5, 0.5, 0)], [])
    outputs = np.zeros((3, 2, 2, 2), "float32")
    outputs[:, 0, 1, 0] = 2.0, 1.0, 0.5
    accumulator = TASK.accumulator(LABELS)
    accumulator.add(targets, outputs)
    evaluation = accumulator.evaluation()
    assert evaluation.mae == pytest.approx(1.5 / 6)
    assert evaluation.rmse == pytest.approx((1.25 / 6) ** 0.5)
    assert evaluation.relative_error == pytest.approx(1.5 / 4)
    assert evaluation.per_class["green"]["objects"] == 4
    assert evaluation.per_class["red"]["relative error"] is None


def test_prediction_is_the_count_of_each_class():
    density = np.zeros((4, 4, 2), "float32")
    density[0, 0] = 1.5, 0.25
    assert TASK.predictions(density, LABELS, 1) == [("green", 1.5), ("red", 0.25)]
    drawn = np.asarray(TASK.draw_over(Image.new("L", (40, 20), 50), density, LABELS))
    assert drawn.shape == (20, 40, 3)
    assert (drawn[2, 2] != 50).any()
    assert (drawn[-1, -1] == 50).all()
    assert (np.asarray(TASK.draw_over(Image.new("RGB", (8, 8)), 0 * density, LABELS)) == 0).all()


# ---- From data to an export


@pytest.fixture(scope="module")
def counter(tmp_path_factory):
    """A net that counts dots, its data and its bundle."""
    keras.utils.set_random_seed(0)
    images, targets = dots(400)
    data = training.from_arrays(images, targets, task="counting", labels=LABELS)
    image = keras.Input(data.image_shape)
    x = keras.layers.Rescaling(1 / 255)(image)
    for width, strides in ((16, 2), (16, 1)):
        x = keras.layers.Conv2D(width, 5, strides, padding="same", activation="relu", name=f"conv{strides}")(x)
    own = keras.Model(image, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x)), name="own")
    model = zoo.replace_head(own, "counting", labels=LABELS, features="conv1")
    recipe = training.Recipe(epochs=12, batch_size=16, optimizer={"name": "adam", "lr": 0.005}, augmentation=(Flip(),))
    training.fit(model, data, recipe, verbose=False)
    bundle = tmp_path_factory.mktemp("counter") / "bundle"
    manifest = export.export_model(
        model, bundle, targets=["mobile-cpu", "gpu", "server-int8"], calibration=data.train, evaluation=data.test
    )
    return model, data, bundle, manifest


def test_dots_are_counted_after_a_few_epochs(counter):
    evaluation = training.evaluate(counter[0], counter[1].test)
    assert evaluation.mae < 0.2
    assert evaluation.images == 80


def test_artifacts_in_integers_count_alike(counter):
    for record in counter[3].artifacts:
        gates = {gate.name: gate for check in record.checks for gate in check.gates}
        if "int8" in record.format:
            assert gates["MAE rise"].figure <= 0.01


def test_boxes_train_and_evaluate_a_counter(counter):
    images, targets = dots(60, seed=1)
    edges = np.concatenate([(targets[..., :2] - 0.01).clip(0), (targets[..., :2] + 0.01).clip(0, 1)], axis=-1)
    boxes = np.concatenate([edges, targets[..., 2:]], axis=-1)
    data = training.from_arrays(images, boxes, task="detection", labels=LABELS)
    assert training.evaluate(counter[0], data).mae < 0.35
    model = zoo.create_model(
        "edsr_lite", blocks=1, width=4, head="counting", labels=LABELS, input_shape=(SIDE, SIDE, 3)
    )
    training.fit(model, data, training.Recipe(epochs=1, batch_size=16, augmentation=(Flip(),)), verbose=False)


def test_predict_tells_the_counts_and_draws_the_density(counter, tmp_path, pocketzoo):
    images, targets = dots(1, seed=9)
    Image.fromarray(images[0]).save(tmp_path / "dots.png")
    file = next(counter[2].glob("*-fp32.tflite"))
    code, out, _ = pocketzoo("predict", file, tmp_path / "dots.png", "--json", "--pictures", tmp_path / "drawn")
    assert code == 0
    rows = json.loads(out)[0]["top"]
    assert [row["label"] for row in rows] == list(LABELS)
    for index, row in enumerate(rows):
        assert row["count"] == pytest.approx((targets[0, :, 2] == index).sum(), abs=1)
    drawn = np.asarray(Image.open(tmp_path / "drawn" / "dots.png"))
    assert drawn.shape == images[0].shape
    assert (drawn != images[0]).any()


def test_report_draws_the_density(counter, tmp_path):
    training.write_report(counter[0], counter[1].test, tmp_path / "report")
    assert Image.open(tmp_path / "report" / "worst.png").size[0] > 300


def test_views_are_not_averaged(counter):
    with pytest.raises(zoo.InputError, match="those of counting move with the image"):
        training.evaluate(counter[0], counter[1].test, test_time_augmentation="flip")
