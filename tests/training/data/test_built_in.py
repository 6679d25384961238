"""Data sets that need no download."""

import numpy as np
import pytest

from pocketzoo import training, zoo
from pocketzoo.training.data.built_in import BUILT_IN
from pocketzoo.training.data.digit_points import INKED, LABELS, _outermost

pytestmark = pytest.mark.fast


def test_points_are_the_outermost_pixels_of_the_ink():
    inked = np.zeros((10, 20), bool)
    inked[2:7, 4] = inked[4, 4:15] = True
    points = dict(zip(LABELS, _outermost(inked), strict=True))
    np.testing.assert_allclose(points["left"], [4.5 / 20, 4.5 / 10, 2])  # the middle of several
    np.testing.assert_allclose(points["right"], [14.5 / 20, 4.5 / 10, 2])
    np.testing.assert_allclose(points["top"], [4.5 / 20, 2.5 / 10, 2])
    np.testing.assert_allclose(points["bottom"], [4.5 / 20, 6.5 / 10, 2])


def test_points_are_on_the_digits():
    data = training.load_data("digit-points", image_size=(32, 48), channels=3)
    assert (data.task, data.labels, data.image_shape) == ("keypoints", LABELS, (32, 48, 3))
    images, points = data.test.arrays()
    columns, rows = (points[..., :2] * (48, 32)).astype(int).T
    at_points = images[np.arange(len(images)), rows, columns, 0].T.astype(float)
    darkest, brightest = (
        np.quantile(images[..., 0].reshape(len(images), -1), q, axis=1)[:, None] for q in (0.02, 0.995)
    )
    assert (at_points > darkest + 0.5 * INKED * (brightest - darkest)).mean() > 0.98  # noise may hide some


def test_points_depend_on_the_seed_alone():
    first, again, other = (training.load_data("digit-points", image_size=24, seed=seed) for seed in (1, 1, 2))
    assert first.fingerprint() == again.fingerprint() != other.fingerprint()


@pytest.mark.parametrize("name", BUILT_IN)
def test_what_data_sets_do_not_have_is_refused(name):
    for wrong, message in (
        ({"channels": 2}, "channels is 2; allowed are 1"),
        ({"dtype": "float32"}, f"{name} have uint8 pixels"),
        ({"image_size": 4}, "pixels"),
    ):
        if name == "digits" and "image_size" in wrong:
            continue
        with pytest.raises(zoo.InputError, match=message):
            training.load_data(name, **wrong)
    with pytest.raises(zoo.InputError, match=f"{name}.*'nonsense'"):
        training.load_data(f"{name}:nonsense")
