import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketzoo import training, zoo
from pocketzoo.training.data.splitting import split_stratified

pytestmark = pytest.mark.fast


def test_digits_are_grey_images_of_32_pixels_in_the_full_range(digits):
    images, labels = digits.train.arrays()
    assert digits.image_shape == (32, 32, 1)
    assert images.dtype == np.uint8
    assert (images.min(), images.max()) == (0, 255)
    assert digits.labels == tuple("0123456789")
    assert len(digits.train) + len(digits.validation) + len(digits.test) == 1797
    assert np.bincount(labels).min() > 100


def test_digits_come_in_colour_and_other_sizes_on_demand():
    assert training.load_data("digits", image_size=(20, 24), channels=3).image_shape == (20, 24, 3)


def test_splits_share_no_image(digits):
    parts = [
        {image.tobytes() for image in split.arrays()[0]} for split in (digits.train, digits.validation, digits.test)
    ]
    assert sum(map(len, parts)) == len(set.union(*parts))


@given(
    counts=st.lists(st.integers(3, 40), min_size=1, max_size=6),
    seed=st.integers(0, 5),
    validation=st.floats(0.01, 0.3),
    test=st.floats(0.01, 0.3),
)
def test_split_is_disjoint_whole_and_has_every_class_in_every_part(counts, seed, validation, test):
    labels = np.repeat(np.arange(len(counts)), counts)
    contents = [b"%d" % number for number in range(len(labels))]
    parts = split_stratified(labels, contents, validation=validation, test=test, seed=seed)
    assert sorted(np.concatenate(parts)) == list(range(len(labels)))
    for part in parts:
        assert set(labels[part]) == set(labels)
    again = split_stratified(labels, contents, validation=validation, test=test, seed=seed)
    assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))


@given(count=st.integers(10, 60), added=st.integers(0, 5), seed=st.integers(0, 3))
def test_photos_that_are_added_bring_no_trained_image_into_the_test_split(count, added, seed):
    def parts(size):
        contents = [b"%d" % (number * 7919) for number in range(size)]
        return split_stratified(np.zeros(size, int), contents, validation=0.2, test=0.2, seed=seed)

    assert not set(parts(count)[0]) & set(parts(count + added)[2])


def test_copies_of_an_image_stay_in_one_split():
    contents = [b"%d" % (number // 3) for number in range(90)]
    parts = split_stratified(np.zeros(90, int), contents, validation=0.1, test=0.2, seed=0)
    found = [{contents[i] for i in part} for part in parts]
    assert sum(map(len, found)) == 30


def test_what_is_not_asked_for_is_not_split_off():
    labels, contents = np.repeat([0, 1], 20), [b"%d" % number for number in range(40)]
    train, validation, test = split_stratified(labels, contents, validation=0, test=0.2, seed=0)
    assert (len(train), len(validation), len(test)) == (32, 0, 8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"source": "digit"}, "neither a folder"),
        ({"source": "digits", "channels": 2}, "channels is 2; allowed are 1"),
        ({"source": "digits", "image_size": 0}, "image_size is 0; it takes pixels, 1 or more"),
        ({"source": "digits", "image_size": 32.5}, "image_size is 32.5; load_data requires a whole number"),
        ({"source": "digits", "image_size": (32, 32, 3)}, "requires a whole number"),
        ({"source": "digits", "on_unreadable": "ignore"}, "there are raise, skip"),
    ],
)
def test_arguments_out_of_range_say_what_is_allowed(arguments, message):
    with pytest.raises(zoo.InputError, match=message):
        training.load_data(**arguments)
