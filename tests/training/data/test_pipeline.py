import gc
import weakref

import numpy as np
import pytest
import tensorflow as tf

from pocketzoo import training
from pocketzoo.training.data.feature_maps import FeatureMaps
from pocketzoo.training.data.images import ArrayImages
from pocketzoo.training.data.pipeline import evaluation_batches, steps_per_epoch, training_batches
from pocketzoo.training.recipe.augmentation import POLICIES


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


@pytest.mark.parametrize(
    ("epoch", "step", "augmentation"),
    [(2, 0, "light"), (2, 4, "none"), (0, 3, "randaugment"), (1, 2, ["flip", "mixup", "cutmix"])],
)
def test_stream_started_later_is_the_rest_of_the_stream(few_digits, recipe, epoch, step, augmentation):
    recipe = recipe.changed(augmentation=augmentation, batch_size=25, data={"sampling": "over"})
    steps = steps_per_epoch(few_digits.train, recipe)
    whole = batches(training_batches(few_digits.train, recipe))
    rest = batches(training_batches(few_digits.train, recipe, first_epoch=epoch, first_step=step))
    assert len(whole) == 3 * steps
    assert len(rest) == (3 - epoch) * steps - step
    for (images, labels), (expected, expected_labels) in zip(rest, whole[-len(rest) :], strict=True):
        np.testing.assert_array_equal(images, expected)
        np.testing.assert_array_equal(labels, expected_labels)


@pytest.mark.parametrize("policy", sorted(set(POLICIES) - {"none"}))
@pytest.mark.parametrize("channels", [1, 3])
def test_what_happens_to_an_image_depends_on_neither_batch_nor_parallelism(few_digits, recipe, policy, channels):
    images, labels = (array[:50] for array in few_digits.train.arrays())
    split = training.ImageSplit(ArrayImages(np.repeat(images, channels, axis=-1)), labels)
    recipe = recipe.changed(augmentation=policy, epochs=1)

    def shown(batch_size: int, threads: int) -> np.ndarray:
        options = tf.data.Options()
        options.threading.private_threadpool_size = threads
        stream = training_batches(split, recipe.changed(batch_size=batch_size)).with_options(options)
        return np.concatenate([images for images, _ in stream])

    first = shown(50, 1)
    assert 0 <= first.min() < first.max() <= 255
    assert first.shape == (50, 32, 32, channels)
    np.testing.assert_array_equal(shown(7, 4), first)


def test_epochs_change_an_image_in_different_ways(few_digits, recipe):
    images, labels = few_digits.train.arrays()
    one = training.ImageSplit(ArrayImages(images[:1]), labels[:1])
    epochs = [shown.tobytes() for shown, _ in batches(training_batches(one, recipe))]
    assert len(set(epochs)) == 3


def test_feature_maps_are_not_augmented(few_digits, recipe):
    _, labels = few_digits.train.arrays()
    maps = np.random.default_rng(0).normal(size=(len(labels), 5)).astype("float32")
    split = training.ImageSplit(FeatureMaps([maps]), labels)
    recipe = recipe.changed(augmentation=["mixup"], epochs=1)
    seen = np.concatenate([features.numpy() for (features,), _ in training_batches(split, recipe)])
    np.testing.assert_array_equal(np.sort(seen, axis=0), np.sort(maps, axis=0))


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
@pytest.mark.parametrize("policy", ["light", ["flip", "crop", "shear"]])
def test_masks_move_as_their_images(few_digits, recipe, several, policy):
    images, labels = few_digits.train.arrays()
    ink = (images[..., 0] > 100).astype("int32")
    split = training.ImageSplit(ArrayImages(images), {"ink": ink, "digit": labels} if several else ink)
    moved, targets = next(iter(training_batches(split, recipe.changed(augmentation=policy))))
    _, still = next(iter(training_batches(split, recipe.changed(augmentation="none"))))
    mask, before = (t["ink"] if several else t for t in (targets, still))
    seen = moved.numpy()[..., 0] > 100
    assert (mask.numpy() == seen).mean() > 0.95  # but for grey values at the edges
    assert (before.numpy() == seen).mean() < 0.9
    assert mask.dtype == "int32"
    if several:
        np.testing.assert_array_equal(targets["digit"], still["digit"])


def test_randaugment_moves_masks_with_the_images_that_it_moves(few_digits, recipe):
    images, _ = few_digits.train.arrays()
    ink = (images[..., 0] > 100).astype("int32")
    split = training.ImageSplit(ArrayImages(images), ink)
    one = [{"name": "randaugment", "operations": 1, "magnitude": 0.5}]
    recipe = recipe.changed(batch_size=len(images), epochs=1)
    seen, masks = next(iter(training_batches(split, recipe.changed(augmentation=one))))
    _, before = next(iter(training_batches(split, recipe.changed(augmentation="none"))))
    moved = (masks.numpy() != before.numpy()).any(axis=(1, 2))
    assert 0.2 < moved.mean() < 0.5  # five of fourteen operations
    assert ((seen.numpy()[moved, ..., 0] > 100) == masks.numpy()[moved]).mean() > 0.95


def test_evaluation_keeps_the_order(few_digits):
    images, labels = few_digits.test.arrays()
    got = batches(evaluation_batches(few_digits.test, 16))
    np.testing.assert_array_equal(np.concatenate([batch[0] for batch in got]), images)
    np.testing.assert_array_equal(np.concatenate([batch[1] for batch in got]), labels)


def test_no_targets_become_part_of_a_graph():
    """Three GiB of masks that take no memory; TensorFlow refuses a constant of more than two."""
    masks = np.broadcast_to(np.arange(768, dtype="int32")[:, None, None], (768, 1024, 1024))
    images = np.zeros((768, 8, 8, 3), "uint8")
    _, seen = next(iter(evaluation_batches(training.ImageSplit(ArrayImages(images), masks), 2)))
    np.testing.assert_array_equal(seen[:, 5, 7], [0, 1])


@pytest.mark.parametrize("sampling", ["none", "over"])
def test_what_a_stream_reads_is_released_with_it(few_digits, recipe, sampling):
    images, labels = few_digits.train.arrays()
    images = ArrayImages(images)
    split = training.ImageSplit(images, labels)
    stream = training_batches(split, recipe.changed(data={"sampling": sampling}))
    first, rest = next(iter(stream)), iter(stream.take(2))
    reference = weakref.ref(images)
    del images, split, stream
    gc.collect()
    np.testing.assert_array_equal(first[1], next(rest)[1])
    assert reference() is not None
    del rest
    gc.collect()
    assert reference() is None
