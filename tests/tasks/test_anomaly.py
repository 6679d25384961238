"""Anomalies: targets, metrics against definitions, and the way from good images to validated files."""

import json

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from sklearn.metrics import f1_score, roc_auc_score

from pocketzoo import export, training, zoo
from pocketzoo.tasks import get_task
from pocketzoo.tasks.anomaly_metrics import best_threshold

TASK = get_task("anomaly")
SIDE = 16
LABELS = ("good", "spot", "hole")


def plates(count, *, kinds=(0,), seed=0):
    """Images of a ring under noise, and masks; those with a defect have a bright spot, or a hole in the ring."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE / 2 + 0.5
    radius = np.hypot(rows, columns)
    images = 60 + 120 * (np.abs(radius - 5) < 1.5) + random.normal(0, 6, (count, SIDE, SIDE))
    masks = np.zeros((count, SIDE, SIDE), "int32")
    for row in range(count):
        kind = kinds[row % len(kinds)]
        if kind:
            angle, far = random.uniform(0, 2 * np.pi), 0 if kind == 1 else 5
            masks[row][np.hypot(rows - far * np.sin(angle), columns - far * np.cos(angle)) < 2.2] = kind
            images[row][masks[row] > 0] = 250 if kind == 1 else 60
    return np.repeat(images.round().clip(0, 255).astype("uint8")[..., np.newaxis], 3, axis=-1), masks


def plate_data(validation_kinds=(0, 0, 1, 2)):
    return training.from_arrays(
        *plates(60),
        task="anomaly",
        labels=LABELS,
        validation=plates(24, kinds=validation_kinds, seed=1),
        test=plates(48, kinds=(0, 0, 1, 2), seed=2),
    )


# ---- Targets


def test_a_number_for_an_image_is_of_all_its_pixels():
    images, _ = plates(12)
    data = training.from_arrays(
        images, np.zeros(12, int), task="anomaly", test=(plates(4, seed=1)[0], np.arange(4) % 3)
    )
    assert data.labels == ("good", "1", "2")
    assert data.test.labels.shape == (4, SIDE, SIDE)
    assert data.test.labels[:, 0, 0].tolist() == [0, -1, -2, 0]


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (
            np.full((3, SIDE, SIDE), 255) * np.eye(SIDE, dtype=int),
            r"have the kind of defect 255, but 1 kinds; .* divide masks",
        ),
        (np.ones((3, 4, 5, 2)), "an anomaly takes whole numbers, 0 for good"),
        (np.full((3, 4, 4), 0.5), "an anomaly takes whole numbers, 0 for good"),
    ],
)
def test_targets_that_are_no_kinds_are_refused(targets, message):
    images, _ = plates(3)
    with pytest.raises(zoo.InputError, match=message):
        training.from_arrays(images, targets, task="anomaly")


@settings(max_examples=40, deadline=None)
@given(arrays("int32", (9, 7), elements=st.integers(0, 3)), st.integers(2, 30), st.integers(2, 30))
def test_no_defect_gets_lost_when_masks_are_resized(mask, height, width):
    resized = TASK.resize_target(mask, height, width)
    assert resized.shape == (height, width)
    assert set(np.unique(resized)) <= set(np.unique(mask))
    assert resized.any() == mask.any()


@pytest.mark.parametrize("target", [np.array([[0, 2], [1, 0]]), np.full((2, 2), -2), np.zeros((2, 2), int)])
def test_targets_survive_their_file(target):
    decoded = TASK.decode_file(TASK.encode_file(target), "mask.png")
    np.testing.assert_array_equal(np.broadcast_to(decoded, target.shape), target)


# ---- Metrics


def test_metrics_are_those_of_scikit_learn():
    random = np.random.default_rng(0)
    masks = np.where(random.random((40, 5, 6)) < 0.02, random.integers(1, 3, (40, 5, 6)), 0)
    outputs = (random.random((40, 5, 6)) * 0.7 + 0.3 * (masks > 0))[..., np.newaxis].astype("float32")
    accumulator = TASK.accumulator(LABELS)
    for rows in (slice(0, 25), slice(25, 40)):
        accumulator.add(masks[rows], outputs[rows])
    found = accumulator.evaluation()
    has_defect, scores = masks.reshape(40, -1).any(axis=1), outputs.reshape(40, -1).max(axis=1)
    assert found.image_auroc == pytest.approx(roc_auc_score(has_defect, scores), abs=1e-9)
    assert found.pixel_auroc == pytest.approx(roc_auc_score((masks > 0).ravel(), outputs.ravel()), abs=1e-4)
    assert found.f1 == pytest.approx(f1_score(has_defect, scores >= 0.5))
    of_kind = np.isin(np.abs(masks).reshape(40, -1).max(axis=1), (0, 1))
    assert found.per_class["spot"]["AUROC"] == pytest.approx(roc_auc_score(has_defect[of_kind], scores[of_kind]))
    assert found.per_class["good"]["AUROC"] is None


def test_defects_without_places_count_for_images_alone():
    accumulator = TASK.accumulator(LABELS)
    targets = np.stack([np.zeros((2, 2), int), np.full((2, 2), -1)])
    accumulator.add(targets, np.float32([0.2, 0.9]).reshape(2, 1, 1, 1) * np.ones((2, 2, 2, 1), "float32"))
    found = accumulator.evaluation()
    assert (found.image_auroc, found.pixel_auroc) == (1.0, None)


@pytest.mark.parametrize(("kind", "message"), [(0, "none of the 2 images have a defect"), (1, "all of the 2 images")])
def test_images_of_one_sort_alone_cannot_be_evaluated(kind, message):
    accumulator = TASK.accumulator(LABELS)
    accumulator.add(np.full((2, 3, 3), kind), np.zeros((2, 3, 3, 1), "float32"))
    assert accumulator.loss_against(accumulator) is None
    with pytest.raises(zoo.InputError, match=message):
        accumulator.evaluation()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=1, max_size=20))
def test_best_threshold_has_the_highest_f1(rows):
    has_defect, scores = (np.array(column) for column in zip(*rows, strict=True))
    if not has_defect.any():
        return
    best = max(f1_score(has_defect, scores >= threshold) for threshold in scores)
    assert f1_score(has_defect, scores >= best_threshold(has_defect, scores)) == pytest.approx(best)


# ---- From good images to files


def small_net(seed=0):
    """A frozen random net with maps of 16x16 and 8x8 positions."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1)(image)
    x = keras.layers.Conv2D(12, 3, padding="same", activation="relu", name="fine")(x)
    x = keras.layers.Conv2D(12, 3, strides=2, padding="same", activation="relu", name="coarse")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.Dense(3, activation="softmax")(x), name="small")


@pytest.fixture(scope="module")
def data():
    return plate_data()


@pytest.fixture(scope="module")
def autoencoder(data):
    """A net with a bottleneck that was trained to return good images."""
    keras.utils.set_random_seed(0)
    image = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
    x = keras.layers.Dense(SIDE * SIDE * 3)(keras.layers.Dense(4)(x))
    picture = keras.layers.Rescaling(255.0)(keras.layers.Reshape((SIDE, SIDE, 3))(x))
    model = keras.Model(image, picture, name="autoencoder")
    images, _ = data.train.arrays()
    pairs = training.from_arrays(images, images, task="image_to_image")
    recipe = training.Recipe(epochs=25, batch_size=16, optimizer={"name": "adam", "lr": 0.01}, augmentation="none")
    training.fit(model, pairs, recipe, task="image_to_image", verbose=False)
    return model


@pytest.fixture(scope="module", params=["padim", "patchcore", "reconstruction"])
def fitted(request, data):
    model = request.getfixturevalue("autoencoder") if request.param == "reconstruction" else small_net()
    return training.fit_anomaly(model, data, method=request.param, memory=100)


def test_detector_tells_defects_from_good_images(fitted, data):
    found = training.evaluate(fitted.model, data.test)
    assert found.image_auroc > 0.95
    assert found.pixel_auroc > 0.9
    assert found.f1 > 0.85
    assert fitted.rule == "best F1 on 24 validation images, 12 of them with defects"
    assert fitted.endpoints == (() if fitted.method == "reconstruction" else ("fine", "coarse"))


def test_saved_detector_is_the_same(fitted, data, tmp_path):
    zoo.save_model(fitted.model, tmp_path / "detector.keras")
    loaded = zoo.load_model(tmp_path / "detector.keras")
    images, _ = data.test.arrays()
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), fitted.model.predict(images, verbose=0))
    assert training.evaluate(loaded, data.test) == training.evaluate(fitted.model, data.test)


def test_files_have_the_statistics_inside(fitted, data, tmp_path):
    manifest = export.export_model(
        fitted.model,
        tmp_path / "bundle",
        targets=["mobile-gpu", "edge-mcu", "server-int8" if fitted.method == "padim" else "gpu"],
        calibration=data.train,
        evaluation=data.test,
        thresholds={"agreement": 0.9},
    )
    drops = {
        record.format: gate.figure
        for record in manifest.artifacts
        for check in record.checks
        for gate in check.gates
        if gate.name == "image AUROC drop"
    }
    assert {"tflite-int8", *(["onnx-int8"] if fitted.method == "padim" else [])} <= drops.keys()
    assert max(drops.values()) <= 0.01
    file = next((tmp_path / "bundle").glob("*-int8.tflite"))
    assert training.evaluate(export.load_artifact(file), data).image_auroc > 0.94


def test_predict_tells_and_draws_where_the_defect_is(fitted, tmp_path, pocketzoo):
    images, masks = plates(2, kinds=(0, 1))  # the first one is of the training
    for name, image in zip(("good", "spot"), images, strict=True):
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    zoo.save_model(fitted.model, tmp_path / "detector.keras")
    code, out, _ = pocketzoo(
        "predict", tmp_path / "detector.keras", tmp_path / "good.png", tmp_path / "spot.png", "--json", "--pictures",
        tmp_path / "drawn",
    )  # fmt: skip
    assert code == 0
    good, spot = (answer["top"][0] for answer in json.loads(out))
    assert (good["label"], spot["label"]) == ("good", "defect")
    assert good["anomaly score"] < 0.5 <= spot["anomaly score"]
    near = np.argwhere(masks[1] > 0).mean(axis=0) / SIDE
    assert np.hypot(spot["y"] - near[0], spot["x"] - near[1]) < 0.2
    drawn = np.asarray(Image.open(tmp_path / "drawn" / "spot.png")).astype(int)
    assert (drawn[7:9, 7:9, 0] - drawn[7:9, 7:9, 2]).mean() > 30  # red over the spot


def test_heat_map_has_the_size_of_the_image():
    output = np.zeros((4, 4, 1), "float32")
    output[3, 0] = 1
    drawn = np.asarray(TASK.draw_over(Image.new("RGB", (40, 20), (0, 0, 90)), output, ()))
    assert drawn.shape == (20, 40, 3)
    assert drawn[0, 39].tolist() == [0, 0, 90]
    assert drawn[19, 0].tolist() == [204, 0, 18]


def test_report_draws_heat_maps(data, tmp_path):
    detector = training.fit_anomaly(small_net(), data, method="patchcore", memory=20).model
    training.write_report(detector, data.test, tmp_path / "report")
    assert Image.open(tmp_path / "report" / "worst.png").size[0] > 300


def test_threshold_without_defects_is_what_a_share_of_good_images_exceeds():
    data = plate_data(validation_kinds=(0,))
    fitted = training.fit_anomaly(small_net(), data, false_alarm_rate=0.25)
    assert fitted.rule == "exceeded by 25.0% of 24 good validation images"
    images, _ = data.validation.arrays()
    scores = fitted.model.predict(images, verbose=0).reshape(24, -1).max(axis=1)
    assert (scores > 0.5).mean() == 0.25


def test_layers_of_the_model_stay_as_they_are(data):
    model = small_net()
    before, images = model.get_weights(), data.test.arrays()[0]
    outputs = model.predict(images, verbose=0)
    training.fit_anomaly(model, data)
    assert all(map(np.array_equal, before, model.get_weights()))
    assert all(layer.trainable for layer in model.layers)
    np.testing.assert_array_equal(model.predict(images, verbose=0), outputs)


# ---- Refusals


def test_training_image_with_a_defect_is_refused():
    images, masks = plates(20, kinds=(0, 0, 0, 2))
    data = training.from_arrays(
        images, masks, task="anomaly", labels=LABELS, validation=plates(4, seed=1), test=plates(4, seed=2)
    )
    with pytest.raises(
        zoo.InputError, match=r"train has image 3, which has a defect \(hole\); detectors learn from good"
    ):
        training.fit_anomaly(small_net(), data)


def test_single_training_image_is_refused_where_nothing_varies():
    data = training.from_arrays(*plates(1), task="anomaly", validation=plates(4, seed=1), test=plates(4, seed=2))
    with pytest.raises(zoo.InputError, match="train has 1 image, of which nothing varies; padim takes 2 or more"):
        training.fit_anomaly(small_net(), data)
    assert training.fit_anomaly(small_net(), data, method="patchcore").method == "patchcore"


def test_validation_without_good_images_is_refused():
    data = plate_data(validation_kinds=(1, 2))
    with pytest.raises(zoo.InputError, match="validation has no good images, which the threshold is set by"):
        training.fit_anomaly(small_net(), data)


@pytest.mark.parametrize("method", ["padim", "reconstruction"])
def test_layers_of_the_model_may_have_the_names_of_those_of_a_detector(data, method, tmp_path):
    image = keras.Input((SIDE, SIDE, 3))
    picture = image
    for name in ("pyramid", "distance", "head"):
        picture = keras.layers.Conv2D(3, 3, padding="same", name=name)(picture)
    model = keras.Model(image, picture, name="named")
    endpoints = ["head", "distance"] if method == "padim" else None
    detector = training.fit_anomaly(model, data, method=method, endpoints=endpoints).model
    zoo.save_model(detector, tmp_path / "detector.keras")
    images, _ = data.test.arrays()
    loaded = zoo.load_model(tmp_path / "detector.keras")
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), detector.predict(images, verbose=0))


def test_picture_makers_of_the_zoo_become_detectors(data):
    small = {"input_shape": (SIDE, SIDE, 3), "width": 4, "blocks": 1}
    detector = training.fit_anomaly(zoo.create_model("edsr_lite", **small), data, method="reconstruction").model
    assert detector.output_shape == (None, SIDE, SIDE, 1)


def test_model_without_maps_is_refused(data):
    image = keras.Input((SIDE, SIDE, 3))
    flat = keras.Model(image, keras.layers.Dense(4)(keras.layers.Flatten()(image)), name="flat")
    with pytest.raises(zoo.InputError, match="flat has no layer with a map of features of 2x2 to 32x32 positions"):
        training.fit_anomaly(flat, data)
    with pytest.raises(
        zoo.InputError, match="unknown layer with a map of features of small 'coarze': did you mean coarse"
    ):
        training.fit_anomaly(small_net(), data, endpoints=["coarze"])


def test_model_whose_maps_do_not_cover_the_image_is_refused(data):
    model = zoo.create_model("lenet5", input_shape=(SIDE, SIDE, 3))
    with pytest.raises(
        zoo.InputError, match="lenet5 has maps that do not cover its image, as its convolutions are not"
    ):
        training.fit_anomaly(model, data)


def test_other_tasks_and_other_verbs_are_refused(data, autoencoder):
    with pytest.raises(zoo.InputError, match="digits has the task classification; anomalies take a folder with train"):
        training.fit_anomaly(zoo.create_model("lenet5"), training.load_data("digits"))
    detector = training.fit_anomaly(small_net(), data).model
    with pytest.raises(zoo.InputError, match=r"the task anomaly, which no loss trains; training.fit_anomaly"):
        training.fit(detector, data)
    with pytest.raises(zoo.InputError, match=r"no head is put on by name for 'anomaly'; training.fit_anomaly"):
        zoo.create_model("resnet20", head="anomaly")
    with pytest.raises(
        zoo.InputError, match=r"small makes \(3,\) of an image of \(16, 16, 3\); 'reconstruction' takes"
    ):
        training.fit_anomaly(small_net(), data, method="reconstruction")
