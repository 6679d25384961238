import warnings

import numpy as np

from pocketzoo import training


def test_warning_points_at_the_line_that_called_the_package():
    images = np.random.default_rng(0).random((12, 4, 4, 3), "float32")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        training.from_arrays(images, np.arange(12) % 2)
    assert {entry.filename for entry in caught} == {__file__}
