from dataclasses import replace

import pytest

from pocketzoo import training
from pocketzoo.training.data.images import ArrayImages


@pytest.fixture(scope="session")
def few_digits(digits):
    """A tenth of the digits, for tests that do not depend on what is learned."""
    return _few(digits)


@pytest.fixture(scope="session")
def small_digits():
    """The same with 16x16 pixels, for deeper networks."""
    return _few(training.load_data("digits", image_size=16))


def _few(digits: training.ImageData) -> training.ImageData:
    def cut(split, count):
        images, labels = split.arrays()
        return training.ImageSplit(ArrayImages(images[:count]), labels[:count])

    return replace(
        digits, train=cut(digits.train, 120), validation=cut(digits.validation, 40), test=cut(digits.test, 40)
    )
