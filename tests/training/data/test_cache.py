import errno
import os
import resource
from types import SimpleNamespace

import numpy as np
import pytest

from pocketzoo import training
from pocketzoo.training.data import cache
from pocketzoo.training.data.cache import CachedImages
from pocketzoo.training.data.images import ArrayImages
from pocketzoo.training.data.pipeline import training_batches

pytestmark = pytest.mark.fast


class Decoded(ArrayImages):
    """Counts how often each image is taken."""

    def __init__(self, pixels):
        super().__init__(pixels)
        self.times = np.zeros(len(pixels), int)

    def take(self, indices):
        np.add.at(self.times, indices, 1)
        return super().take(indices)


class Slow:
    """As images in files are: none that a run may take for images in memory."""

    def __init__(self, images):
        self.shape, self.take, self._length = images.shape, images.take, len(images)

    def __len__(self):
        return self._length


@pytest.fixture
def images(pixels):
    return Decoded(pixels(30, 5, 6, 3).astype("uint8"))


def test_each_image_is_decoded_once_and_stays_the_same(images):
    kept = CachedImages(images)
    for _ in range(3):
        rows = np.random.default_rng(0).permutation(30)
        np.testing.assert_array_equal(kept.take(rows), ArrayImages.take(images, rows))
    assert (images.times == 1).all()


@pytest.mark.parametrize("short", [False, True])
def test_without_room_images_are_decoded_again(images, monkeypatch, short):
    def no_room(descriptor, content, offset):
        if short:
            return len(content) - 1
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", no_room)
    kept, rows = CachedImages(images), np.arange(30)
    for _ in range(2):
        np.testing.assert_array_equal(kept.take(rows), ArrayImages.take(images, rows))
    assert (images.times == 2).all()


@pytest.mark.parametrize("keep", ["auto", True, False])
def test_a_recipe_keeps_decoded_images_for_its_epochs(images, keep):
    """An image whose first two epochs are read at the same time may be decoded twice: hence the bound."""
    epochs = 20
    split = training.ImageSplit(Slow(images), np.arange(30, dtype="int32") % 2)
    recipe = training.Recipe(epochs=epochs, batch_size=8, augmentation="none", data={"cache": keep})
    seen = np.concatenate([pixels for pixels, _ in training_batches(split, recipe)])
    assert images.times.sum() <= 3 * 30 if keep else (images.times == epochs).all()
    expected = np.sort(np.tile(images.take(np.arange(30)).ravel(), epochs))
    np.testing.assert_array_equal(np.sort(seen.ravel()), expected)


@pytest.mark.parametrize(("largest", "free"), [(30 * 5 * 6 * 3 - 1, 1 << 40), (1 << 40, 30 * 5 * 6 * 3 * 2 - 1)])
def test_more_than_there_is_room_for_is_not_kept_unasked(images, monkeypatch, largest, free):
    monkeypatch.setattr(cache, "LARGEST", largest)
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))
    assert cache.cached(images, "auto") is images
    assert isinstance(cache.cached(images, True), CachedImages)


def test_images_are_not_kept_where_no_temporary_file_can_be_made(images, monkeypatch):
    def full(*_, **__):
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    for name in ("gettempdir", "TemporaryFile"):
        with monkeypatch.context() as patched:
            patched.setattr(cache.tempfile, name, full)
            assert cache.cached(images, "auto") is images
    monkeypatch.setattr(cache.tempfile, "TemporaryFile", full)
    assert cache.cached(images, True) is images


def test_limit_on_files_below_the_size_of_all_images_keeps_as_many_as_fit(images):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10 * 5 * 6 * 3, before[1]))
    try:
        kept, rows = cache.cached(images, True), np.arange(30)
        for _ in range(2):
            np.testing.assert_array_equal(kept.take(rows), ArrayImages.take(images, rows))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (images.times == [1] * 10 + [2] * 20).all()
