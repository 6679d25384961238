"""Pixels of masks that have no class count in no loss, metric, weight or report."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pocketzoo import export, training, zoo
from pocketzoo.export.sample_images import Samples
from pocketzoo.tasks.segmentation import VOID, PixelAccumulator
from pocketzoo.training.data.balance import weigher
from pocketzoo.training.data.pipeline import evaluation_batches, training_batches
from pocketzoo.training.engine.losses import make_loss
from pocketzoo.training.recipe.data import Data
from pocketzoo.training.recipe.loss import CrossEntropy, Dice, Focal, Tversky

SIDE = 16
LABELS = ("ground", "road", "car")


def scenes(count=40):
    """Images whose class is their brightness, and masks of which a quarter and a border are void."""
    random = np.random.default_rng(0)
    masks = np.kron(random.integers(0, 3, (count, 4, 4)), np.ones((1, 4, 4), int)).astype("uint8")
    images = masks[..., np.newaxis] * 80 + random.integers(0, 40, (count, SIDE, SIDE, 1))
    masks[:, :8, :8] = 255
    masks[:, :, 0] = 255
    return images.astype("uint8"), masks


@pytest.fixture(scope="module")
def data():
    return training.from_arrays(*scenes(), task="segmentation", labels=LABELS, ignore=255)


def random_outputs(shape, seed=0):
    logits = np.random.default_rng(seed).normal(size=(*shape, 3)).astype("float32")
    return np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)


def test_labels_and_masks_stay_as_they_are(data):
    assert (data.labels, data.ignore, data.test.ignore) == (LABELS, 255, 255)
    assert 255 in data.train.labels
    assert training.from_arrays(*scenes(), task="segmentation", ignore=255).labels == ("0", "1", "2")
    with pytest.raises(zoo.InputError, match="labels names 3, but the targets have 256"):
        training.from_arrays(*scenes(), task="segmentation", labels=LABELS)


@pytest.mark.parametrize("config", [CrossEntropy(), CrossEntropy(label_smoothing=0.1), Focal(), Dice(), Tversky()])
@pytest.mark.parametrize("weighted", [False, True])
def test_loss_is_that_of_the_other_pixels(config, weighted):
    targets = np.random.default_rng(0).integers(0, 3, (4, 6))
    outputs = random_outputs((4, 6))
    weights = np.random.default_rng(1).uniform(0.5, 2, (4, 6)).astype("float32") if weighted else None
    marked = np.where(np.arange(6) < 2, VOID, targets)
    loss = make_loss(config, True)
    whole = loss(targets[None, :, 2:], outputs[None, :, 2:], None if weights is None else weights[None, :, 2:])
    found = loss(marked[None], outputs[None], None if weights is None else weights[None])
    assert float(found) == pytest.approx(float(whole), rel=1e-5)
    changed = np.where(marked[..., np.newaxis] == VOID, random_outputs((4, 6), seed=5), outputs)
    assert float(loss(marked[None], changed[None], weights if weights is None else weights[None])) == float(found)
    assert float(loss(np.full((1, 4, 6), VOID), outputs[None])) == 0


def test_metrics_are_those_of_the_other_pixels():
    targets, outputs = np.random.default_rng(0).integers(0, 3, (5, 4, 6)), random_outputs((5, 4, 6))
    whole, part = PixelAccumulator(LABELS), PixelAccumulator(LABELS)
    whole.add(targets[:, :, 2:], outputs[:, :, 2:])
    marked = np.where(np.arange(6) < 2, VOID, targets)
    part.add(marked, outputs)
    first, second = whole.evaluation().to_dict(), part.evaluation().to_dict()
    assert first["loss"] == pytest.approx(second["loss"])
    assert {**first, "loss": 0} == {**second, "loss": 0}
    np.testing.assert_array_equal(whole.errors(), part.errors())
    metric = make_metric()
    metric.update_state(marked, outputs)
    assert float(metric.result()) == pytest.approx(first["mean_iou"])


def make_metric():
    from pocketzoo.tasks import get_task

    return get_task("segmentation").training_metrics(3)[0]


def test_image_without_any_class_is_no_error_and_no_data_set_of_them_is():
    accumulator = PixelAccumulator(LABELS)
    accumulator.add(np.full((1, 4, 4), VOID), random_outputs((1, 4, 4)))
    with pytest.raises(zoo.InputError, match="no pixel of the masks has a class"):
        accumulator.evaluation()
    accumulator.add(np.ones((1, 4, 4), int), random_outputs((1, 4, 4)))
    assert np.isfinite(accumulator.errors()).all()
    assert accumulator.evaluation().confusion.sum() == 16


def test_batches_mark_void_and_augmentation_fills_borders_with_it(data):
    images, masks = next(iter(evaluation_batches(data.train, 8)))
    np.testing.assert_array_equal(masks, np.where(data.train.labels[:8] == 255, VOID, data.train.labels[:8]))
    moved = training.Recipe(epochs=1, batch_size=8, augmentation=[{"name": "translate", "height": 0.4, "width": 0.4}])
    changed = np.concatenate([batch.numpy() for _, batch in training_batches(data.train, moved)])
    whole = training.from_arrays(images.numpy().astype("uint8"), masks.numpy() % 3, task="segmentation")
    unchanged = np.concatenate(
        [batch.numpy() for _, batch in training_batches(whole.train, moved.changed(batch_size=2))]
    )
    assert set(np.unique(changed)) == {VOID, 0, 1, 2}
    assert (changed == VOID).mean() > (data.train.labels == 255).mean()
    assert set(np.unique(unchanged)) == {0, 1, 2}


def test_class_weights_count_the_other_pixels(data):
    weigh = weigher(data.train, Data(class_weights="inverse"))
    marked = np.where(data.train.labels == 255, VOID, data.train.labels)
    weights = weigh(tf.constant(marked)).numpy()[marked != VOID]
    totals = [weights[marked[marked != VOID] == label].sum() for label in range(3)]
    np.testing.assert_allclose(totals, totals[0], rtol=1e-5)
    assert weights.mean() == pytest.approx(1)


def test_survey_counts_the_other_pixels(data):
    counts = [sum(by_split.values()) for by_split in training.survey(data).labels.values()]
    _, masks = scenes()
    assert counts == np.bincount(masks[masks != 255]).tolist()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("scenes")
    for name in ("images", "masks"):
        (root / name).mkdir()
    for number, (image, mask) in enumerate(zip(*scenes(16), strict=True)):
        Image.fromarray(image[..., 0]).save(root / "images" / f"{number}.png")
        Image.fromarray(mask).save(root / "masks" / f"{number}.png")
    return root


def test_files_tables_and_shards_know_the_label_to_ignore(folder, tmp_path):
    with pytest.raises(zoo.InputError, match=r"have the values 0, 1, 2, 255; .* state ignore=255 \(--ignore 255\)"):
        training.load_data(folder)
    data = training.load_data(folder, image_size=SIDE, channels=1, ignore=255)
    assert (data.labels, data.ignore) == (("0", "1", "2"), 255)
    rows = [f"images/{number}.png,masks/{number}.png" for number in range(16)]
    (folder / "table.csv").write_text("\n".join(["image,mask", *rows]))
    table = training.load_data(folder / "table.csv", image_size=SIDE, channels=1, ignore=255)
    assert sorted(mask.tobytes() for mask in table.train.arrays()[1]) == sorted(
        mask.tobytes() for mask in data.train.arrays()[1]
    )
    training.write_shards(data, tmp_path / "shards")
    packed = training.load_data(tmp_path / "shards", image_size=SIDE, channels=1)
    assert (packed.labels, packed.ignore) == (data.labels, 255)
    found = training.survey(folder, ignore=255)
    _, masks = scenes(16)
    assert [sum(by_split.values()) for by_split in found.labels.values()] == np.bincount(masks[masks != 255]).tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ignore": 255, "task": "classification"}, "ignore is 255, but arrays has no masks"),
        ({"ignore": "255", "task": "segmentation"}, "ignore is '255'; from_arrays requires a whole number or None"),
    ],
)
def test_label_to_ignore_is_a_number_and_of_masks(arguments, message):
    images, masks = scenes()
    targets = masks if arguments["task"] == "segmentation" else np.arange(len(images)) % 2
    with pytest.raises(zoo.InputError, match=message):
        training.from_arrays(images, targets, **arguments)
    with pytest.raises(zoo.InputError, match="every pixel of the masks of digit-scenes has a class"):
        training.load_data("digit-scenes", ignore=255)


def test_mask_in_jpeg_is_refused(folder, tmp_path):
    Image.open(folder / "masks" / "0.png").save(tmp_path / "0.jpg")
    (tmp_path / "images").mkdir()
    Image.open(folder / "images" / "0.png").save(tmp_path / "images" / "0.png")
    (tmp_path / "table.csv").write_text("image,mask\nimages/0.png,0.jpg\n")
    with pytest.raises(zoo.InputError, match=r"0\.jpg is a JPEG, whose compression changes class indices"):
        training.load_data(tmp_path / "table.csv", ignore=255)


@pytest.fixture(scope="module")
def model(data):
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 1)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(8, 3, padding="same", activation="relu"),
            keras.layers.Conv2D(3, 1, activation="softmax"),
        ]
    )
    recipe = training.Recipe(
        epochs=2, batch_size=8, augmentation="segmentation", data={"class_weights": "inverse_root"}
    )
    return training.fit(model, data, recipe, verbose=False).model


def test_void_changes_neither_training_nor_evaluation_nor_report(data, model, tmp_path):
    evaluation = training.write_report(model, data, tmp_path / "report")
    images, masks = data.test.arrays()
    predicted = export.predict(model, images).masks
    known = masks != 255
    assert evaluation.accuracy == pytest.approx((predicted == masks)[known].mean())
    assert evaluation.confusion.sum() == known.sum()
    assert (tmp_path / "report" / "worst.png").stat().st_size


def test_export_measures_the_other_pixels(data, model):
    samples = Samples.from_source(data.test, "evaluation", (SIDE, SIDE, 1), 3, task="segmentation")
    np.testing.assert_array_equal(samples.labels, np.where(data.test.labels == 255, VOID, data.test.labels))
