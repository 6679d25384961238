from dataclasses import replace

import pytest

from pocketzoo import training
from pocketzoo.training.data import ArrayImages


@pytest.fixture(scope="session")
def few_digits(digits):
    """A tenth of the digits, for tests of how training behaves rather than of what it learns."""

    def cut(split, count):
        images, labels = split.arrays()
        return training.ImageSplit(ArrayImages(images[:count]), labels[:count])

    return replace(
        digits, train=cut(digits.train, 120), validation=cut(digits.validation, 40), test=cut(digits.test, 40)
    )
