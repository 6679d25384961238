from collections import Counter
from itertools import pairwise

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketzoo import training, zoo
from pocketzoo.training.data.balance import weigher
from pocketzoo.training.data.images import ArrayImages
from pocketzoo.training.data.pipeline import steps_per_epoch, training_batches
from pocketzoo.training.recipe.data import Data

COUNTS = (50, 20, 5)


def split(labels) -> training.ImageSplit:
    rows = len(next(iter(labels.values())) if isinstance(labels, dict) else labels)
    shades = np.arange(rows, dtype="uint8")[:, None, None, None]
    return training.ImageSplit(ArrayImages(np.broadcast_to(shades, (rows, 8, 8, 1))), labels)


def classes(counts) -> np.ndarray:
    return np.repeat(np.arange(len(counts)), counts).astype("int32")


def recipe(augmentation="none", epochs=1, **data) -> training.Recipe:
    return training.Recipe(epochs=epochs, batch_size=16, augmentation=augmentation, data=data)


@given(
    counts=st.lists(st.integers(0, 3000), min_size=2, max_size=6).filter(any),
    kind=st.sampled_from(["inverse", "inverse_root", "effective"]),
)
@settings(max_examples=30, deadline=None)
def test_weights_have_mean_one_and_favour_the_rare(counts, kind):
    labels = classes(counts)
    weights = weigher(split(labels), Data(class_weights=kind))(tf.constant(labels)).numpy()
    assert weights.mean() == pytest.approx(1, rel=1e-4)
    of_class = {label: weights[labels == label][0] for label in np.unique(labels)}
    ranked = sorted(of_class, key=lambda label: counts[label])
    assert all(of_class[a] >= of_class[b] * (1 - 1e-6) for a, b in pairwise(ranked))


@pytest.mark.parametrize(
    ("kind", "ratio"),
    [("inverse", 10), ("inverse_root", 10**0.5), ("effective", (1 - 0.999**50) / (1 - 0.999**5))],
)
def test_weights_are_those_of_the_paper_and_come_with_their_images(kind, ratio):
    labels = classes(COUNTS)
    weights = {}
    for _, targets, of_batch in training_batches(split(labels), recipe(class_weights=kind)):
        weights |= dict(zip(targets.numpy().tolist(), of_batch.numpy().tolist(), strict=True))
    assert weights[2] / weights[0] == pytest.approx(ratio, rel=1e-4)


def test_a_mixed_image_weighs_as_its_parts():
    options = {"class_weights": "inverse"}
    table = weigher(split(classes(COUNTS)), Data(**options))(tf.range(3)).numpy()
    for _, targets, weights in training_batches(split(classes(COUNTS)), recipe(["mixup"], **options)):
        np.testing.assert_allclose(weights, targets.numpy() @ table, rtol=1e-5)


def test_a_pixel_of_a_segmentation_weighs_as_its_class():
    masks = np.zeros((40, 8, 8), "int32")
    masks[:, :2, :4] = 1
    images, targets, weights = next(iter(training_batches(split(masks), recipe(class_weights="inverse"))))
    assert weights.shape == targets.shape == images.shape[:3]
    np.testing.assert_allclose(weights.numpy()[targets.numpy() == 1], 4, rtol=1e-5)
    np.testing.assert_allclose(weights.numpy()[targets.numpy() == 0], 4 / 7, rtol=1e-5)


def test_all_outputs_of_an_image_weigh_as_its_class():
    labels = {"mask": np.tile(classes(COUNTS)[:, None, None] % 2, (8, 8)), "kind": classes(COUNTS)}
    image = keras.Input((8, 8, 1))
    mask = keras.layers.Conv2D(2, 1, activation="softmax", name="mask")(image / 255)
    kind = keras.layers.Dense(3, activation="softmax", name="kind")(keras.layers.Flatten()(image / 255))
    model = keras.Model(image, {"mask": mask, "kind": kind})
    loss = "sparse_categorical_crossentropy"
    model.compile("sgd", loss={"mask": loss, "kind": loss})
    images, targets, weights = next(iter(training_batches(split(labels), recipe(class_weights="inverse"))))
    loss = model.test_on_batch(images, targets, weights, return_dict=True)["loss"]
    answers = model.predict_on_batch(images)
    of_images = -np.log(np.take_along_axis(answers["kind"], targets["kind"].numpy()[:, None], -1)[:, 0])
    of_pixels = -np.log(np.take_along_axis(answers["mask"], targets["mask"].numpy()[..., None], -1)[..., 0])
    of_class = weights["kind"].numpy()
    assert loss == pytest.approx(
        (of_class * of_images).mean() + (of_class * of_pixels.mean(axis=(1, 2))).mean(), rel=1e-4
    )


@pytest.mark.parametrize(("sampling", "each"), [("over", 50), ("under", 5)])
def test_an_epoch_shows_each_class_as_often(sampling, each):
    data, recipe_ = split(classes(COUNTS)), recipe(epochs=2, sampling=sampling)
    steps = steps_per_epoch(data, recipe_)
    assert steps == -(-3 * each // 16)
    shown = [(images.numpy()[:, 0, 0, 0], labels.numpy()) for images, labels in training_batches(data, recipe_)]
    epochs = [shown[:steps], shown[steps:]]
    chosen = []
    for epoch in epochs:
        assert Counter(np.concatenate([labels for _, labels in epoch]).tolist()) == dict.fromkeys(range(3), each)
        images = Counter(np.concatenate([images for images, _ in epoch]).tolist())
        for first, last in ((0, 50), (50, 70), (70, 75)):
            times = [images[image] for image in range(first, last)]
            assert max(times) - min(times) <= 1
        chosen.append(images)
    assert chosen[0] != chosen[1]


def test_an_image_that_is_shown_again_is_changed_in_another_way():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 1)).astype("uint8")
    data = training.ImageSplit(ArrayImages(pixels[[0, 0, 0, 0, 0, 0, 1]]), np.array([0] * 6 + [1], "int32"))
    images, labels = next(iter(training_batches(data, recipe("light", sampling="over"))))
    repeated = {image.tobytes() for image in images.numpy()[labels.numpy() == 1]}
    assert len(repeated) == 6


@pytest.mark.parametrize("wish", [{"class_weights": "inverse"}, {"sampling": "over"}])
def test_data_without_classes_is_refused(wish):
    numbers = np.zeros((30, 2), "float32")
    with pytest.raises(zoo.InputError, match="takes data with classes"):
        training_batches(split(numbers), recipe(**wish))


def test_weights_and_sampling_for_the_same_imbalance_are_refused():
    with pytest.raises(zoo.InputError, match=r"class_weights 'inverse' and data.sampling 'over' .* choose one"):
        training_batches(split(classes(COUNTS)), recipe(class_weights="inverse", sampling="over"))


@pytest.mark.parametrize(
    "loss", [None, pytest.param("dice", marks=pytest.mark.every_card), ["cross_entropy", "tversky"]], ids=str
)
def test_segmentation_trains_with_weights_of_pixels(loss):
    masks = np.zeros((40, 16, 16), "int32")
    masks[:, :4] = 1
    images = np.zeros((40, 16, 16, 3), "uint8")
    data = training.from_arrays(images + np.arange(40, dtype="uint8")[:, None, None, None], masks, task="segmentation")
    model = zoo.create_model("unet_same", classes=2, widths=(4, 8), input_shape=(16, 16, 3))
    how = training.Recipe(epochs=1, batch_size=10, loss=loss, data={"class_weights": "inverse"})
    assert np.isfinite(training.fit(model, data, how, verbose=False).history[0]["loss"])
