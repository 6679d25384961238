import numpy as np
import pytest
import tensorflow as tf

from pocketzoo import training, zoo
from pocketzoo.training.augmentation.augmenter import make_augmenter
from pocketzoo.training.augmentation.mixing import mix_up
from pocketzoo.training.augmentation.random_stream import RandomStream
from pocketzoo.training.data.images import ArrayImages
from pocketzoo.training.data.pipeline import training_batches
from pocketzoo.training.recipe.augmentation import CutMix, MixUp

COUNT, CLASSES = 64, 5


def recipe(*augmentation) -> training.Recipe:
    return training.Recipe(epochs=1, batch_size=COUNT, augmentation=augmentation)


def split(labels: np.ndarray, shades: np.ndarray) -> training.ImageSplit:
    pixels = np.broadcast_to(shades[:, None, None, None], (len(shades), 10, 10, 1)).astype("uint8")
    return training.ImageSplit(ArrayImages(pixels), labels)


@pytest.fixture
def classes():
    return (np.arange(COUNT) % CLASSES).astype("int32")


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
@pytest.mark.parametrize("several_labels", [False, True])
def test_targets_are_mixed_as_their_images(name, several_labels, classes):
    one_hot = np.eye(CLASSES, dtype="float32")[classes]
    shades = 50 * classes  # so that the mean of an image determines its target
    images, mixed = next(iter(training_batches(split(one_hot if several_labels else classes, shades), recipe(name))))
    mixed = mixed.numpy()
    assert mixed.shape == (COUNT, CLASSES)
    np.testing.assert_allclose(mixed.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(np.mean(images, axis=(1, 2, 3)), mixed @ (50.0 * np.arange(CLASSES)), atol=1e-3)
    assert (mixed.max(axis=1) < 0.99).sum() > 10
    varying = np.std(images, axis=(1, 2, 3)) > 1
    assert varying.any() == (name == "cutmix")


@pytest.mark.parametrize("alpha", [0.01, 0.2, 1.0, 4.0])
def test_shares_have_the_beta_distribution(alpha):
    stream = RandomStream(tf.random.stateless_uniform((4000, 1), (0, 1), dtype=tf.float64))
    images = tf.constant(np.arange(4000) % 2, tf.float32)[:, None, None, None]
    shares = mix_up(MixUp(alpha=alpha), stream, images, {})[0].numpy()
    assert abs(shares.mean() - 0.5) < 0.02
    assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


def test_a_batch_of_one_is_mixed_with_itself():
    image = tf.fill((1, 4, 4, 3), 7.0)
    mixed, target = make_augmenter((MixUp(), CutMix()))(image, tf.constant([[0.0, 1.0]]), tf.zeros((1, 2), tf.int64))
    np.testing.assert_allclose(mixed, image, atol=1e-5)
    np.testing.assert_allclose(target, [[0, 1]], atol=1e-6)


def test_each_of_several_outputs_is_mixed(classes):
    targets = {"digit": classes, "odd": np.eye(2, dtype="float32")[classes % 2]}
    _, mixed = next(iter(training_batches(split(targets, 0 * classes), recipe("mixup"))))
    odd = np.arange(CLASSES) % 2
    np.testing.assert_allclose(mixed["digit"].numpy() @ odd, mixed["odd"][:, 1], atol=1e-6)


@pytest.mark.parametrize(
    ("targets", "what"),
    [(np.zeros((COUNT, 10, 10), "int32"), "segmentation"), (np.full((COUNT, 2), 3.5, "float32"), "regression")],
)
@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_masks_and_numbers_are_not_mixed(name, targets, what):
    with pytest.raises(zoo.InputError, match=f"'{name}' mixes classes or labels, not the targets of a {what}"):
        training_batches(split(targets, np.zeros(COUNT)), recipe("flip", name))
