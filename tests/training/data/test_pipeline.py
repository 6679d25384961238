import numpy as np
import pytest

from pocketzoo import training
from pocketzoo.training.data.images import ArrayImages
from pocketzoo.training.data.pipeline import evaluation_batches, steps_per_epoch, training_batches


def batches(stream):
    return [(images.numpy(), labels.numpy()) for images, labels in stream]


@pytest.fixture
def recipe():
    return training.Recipe(epochs=3, batch_size=32, seed=5)


def test_an_epoch_shows_every_image_once(few_digits, recipe):
    plain = recipe.changed(augmentation="none")
    steps = steps_per_epoch(few_digits.train, plain)
    epoch = batches(training_batches(few_digits.train, plain).take(steps))
    shown = sorted(image.tobytes() for images, _ in epoch for image in images)
    assert shown == sorted(image.astype("float32").tobytes() for image in few_digits.train.arrays()[0])


def test_labels_stay_with_their_images(few_digits, recipe):
    known = {i.astype("float32").tobytes(): label for i, label in zip(*few_digits.train.arrays(), strict=True)}
    for images, labels in batches(training_batches(few_digits.train, recipe.changed(augmentation="none"))):
        assert [known[image.tobytes()] for image in images] == labels.tolist()


def test_epochs_differ_in_order_and_seeds_differ(few_digits, recipe):
    steps = steps_per_epoch(few_digits.train, recipe)
    labels = [batch[1] for batch in batches(training_batches(few_digits.train, recipe))]
    assert not np.array_equal(np.concatenate(labels[:steps]), np.concatenate(labels[steps : 2 * steps]))
    other = batches(training_batches(few_digits.train, recipe.changed(seed=6)))
    assert not np.array_equal(labels[0], other[0][1])


def test_stream_started_later_is_the_rest_of_the_stream(few_digits, recipe):
    whole = batches(training_batches(few_digits.train, recipe))
    rest = batches(training_batches(few_digits.train, recipe, first_epoch=2))
    assert len(whole) == 3 * steps_per_epoch(few_digits.train, recipe)
    for (images, labels), (expected, expected_labels) in zip(rest, whole[-len(rest) :], strict=True):
        np.testing.assert_array_equal(images, expected)
        np.testing.assert_array_equal(labels, expected_labels)


def test_light_augmentation_moves_images_a_little_and_keeps_the_range(few_digits, recipe):
    plain = batches(training_batches(few_digits.train, recipe.changed(augmentation="none")))[0][0]
    light = batches(training_batches(few_digits.train, recipe))[0][0]
    assert light.shape == plain.shape
    assert light.min() >= 0
    assert light.max() <= 255
    changes = np.abs(light - plain).mean(axis=(1, 2, 3))
    assert (changes > 1).mean() > 0.9
    assert changes.mean() < 60
    assert len(np.unique(changes.round(3))) > 20  # every image by itself, not the batch as one


@pytest.mark.parametrize("several", [False, True])
def test_light_augmentation_moves_masks_as_their_images(few_digits, recipe, several):
    images, labels = few_digits.train.arrays()
    ink = (images[..., 0] > 100).astype("int32")
    split = training.ImageSplit(ArrayImages(images), {"ink": ink, "digit": labels} if several else ink)
    moved, targets = next(iter(training_batches(split, recipe)))
    _, still = next(iter(training_batches(split, recipe.changed(augmentation="none"))))
    mask, before = (t["ink"] if several else t for t in (targets, still))
    seen = moved.numpy()[..., 0] > 100
    assert (mask.numpy() == seen).mean() > 0.95  # but for grey values at the edges
    assert (before.numpy() == seen).mean() < 0.9
    assert mask.dtype == "int32"
    if several:
        np.testing.assert_array_equal(targets["digit"], still["digit"])


def test_draws_of_one_batch_are_not_those_of_another():
    from pocketzoo.training.augmentation import _GivenSeed

    draws = set()
    for seed in range(3):
        for step in (0, 1, 2, 1 << 20, 1 << 21):
            given = _GivenSeed([seed, step])
            draws |= {tuple(np.array(given.next())) for _ in range(6)}
    assert len(draws) == 3 * 5 * 6


def test_evaluation_keeps_the_order(few_digits):
    images, labels = few_digits.test.arrays()
    got = batches(evaluation_batches(few_digits.test, 16))
    np.testing.assert_array_equal(np.concatenate([batch[0] for batch in got]), images)
    np.testing.assert_array_equal(np.concatenate([batch[1] for batch in got]), labels)
