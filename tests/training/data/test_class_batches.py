"""Batches with several images of each of several classes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketzoo import training, zoo
from pocketzoo.training.data.class_batches import images_per_class, rows_in_batches
from pocketzoo.training.data.images import ArrayImages
from pocketzoo.training.data.pipeline import steps_per_epoch, training_batches, validation_batches

pytestmark = pytest.mark.fast


def split(labels, task="embedding"):
    shades = np.arange(len(labels), dtype="uint8")[:, None, None, None]
    images = ArrayImages(np.broadcast_to(shades, (len(labels), 8, 8, 1)))
    return training.ImageSplit(images, np.array(labels, "int32"), task=task)


def recipe(batch_size=8, epochs=2, **data):
    return training.Recipe(epochs=epochs, batch_size=batch_size, augmentation="none", data=data)


def shown(batches):
    return [(images.numpy()[:, 0, 0, 0].astype(int), targets.numpy()) for images, targets, *_ in batches]


@given(
    counts=st.lists(st.integers(1, 9), min_size=1, max_size=7),
    groups=st.integers(1, 5),
    of_each=st.integers(2, 4),
    steps=st.integers(1, 6),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_batch_has_as_many_images_of_each_class(counts, groups, of_each, steps, seed):
    classes = np.repeat(np.arange(len(counts)), counts)
    rows = rows_in_batches(classes, groups * of_each, of_each, steps, np.random.default_rng(seed))
    of_batch = classes[rows].reshape(steps, groups, of_each)
    assert (of_batch == of_batch[..., :1]).all()
    for batch in of_batch[..., 0]:
        times = np.bincount(batch, minlength=len(counts))
        assert times.max() - times.min() <= 1
    for label, count in enumerate(counts):
        times = np.bincount(rows[classes[rows] == label], minlength=len(classes))[classes == label]
        assert times.max() - times.min() <= 1, count


def test_order_depends_on_seed_and_epoch_and_a_stream_goes_on_where_it_ended():
    data = split(np.arange(40) % 5)
    assert steps_per_epoch(data, recipe()) == 5
    whole = shown(training_batches(data, recipe()))
    assert len(whole) == 10
    rest = shown(training_batches(data, recipe(), first_epoch=1, first_step=2))
    for (rows, labels), (others, names) in zip(whole[7:], rest, strict=True):
        np.testing.assert_array_equal(rows, others)
        np.testing.assert_array_equal(labels, names)
        assert sorted(np.unique(labels, return_counts=True)[1]) == [4, 4]
    assert any((whole[step][0] != whole[step + 5][0]).any() for step in range(5))


def test_validation_compares_images_of_the_same_batches_in_each_epoch():
    sorted_by_class = split(np.repeat(np.arange(5), 8))
    first, second = (shown(validation_batches(sorted_by_class, recipe())) for _ in range(2))
    assert len(first) == 5
    for (rows, labels), (others, _) in zip(first, second, strict=True):
        np.testing.assert_array_equal(rows, others)
        assert len(np.unique(labels)) == 2
    few = shown(validation_batches(split([0, 1, 0, 1, 2]), recipe()))
    assert [len(rows) for rows, _ in few] == [5]


def test_classification_may_have_such_batches_and_has_none_by_default():
    data = split(np.arange(40) % 5, "classification")
    assert images_per_class(data, recipe()) is None
    assert len(shown(validation_batches(data, recipe(12)))) == 4
    for _, labels in shown(training_batches(data, recipe(12, images_per_class=6))):
        assert sorted(np.unique(labels, return_counts=True)[1]) == [6, 6]


@pytest.mark.parametrize(("size", "expected"), [(32, 4), (8, 4), (9, 3), (6, 3), (4, 2), (14, 2)])
def test_number_of_images_fits_the_batch(size, expected):
    assert images_per_class(split([0, 1]), recipe(size)) == expected


@pytest.mark.parametrize(
    ("size", "options", "message"),
    [
        (7, {}, "batch_size is 7, but an embedding is trained with 2 to 4 images of each"),
        (2, {}, "batch_size is 2, but"),
        (8, {"images_per_class": 3}, "batch_size is 8, but data.images_per_class is 3; it takes a multiple"),
        (8, {"images_per_class": 8}, "takes a multiple of that, for 2 or more"),
        (8, {"sampling": "over"}, "data.sampling is 'over', but batches have as many images"),
    ],
)
def test_batches_that_cannot_be_made_say_why(size, options, message):
    with pytest.raises(zoo.InputError, match=message):
        images_per_class(split([0, 1]), recipe(size, **options))
