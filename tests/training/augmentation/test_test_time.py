import numpy as np
import pytest

from pocketzoo.training.augmentation.test_time import VIEWS


@pytest.mark.parametrize("name", VIEWS)
def test_views_differ_and_are_inverted_by_restore(name, pixels):
    images = pixels(2, 64, 32, 3)
    shown = [view.transform(images) for view in VIEWS[name]]
    assert len({view.tobytes() for view in shown}) == len(shown)
    for view, seen in zip(VIEWS[name], shown, strict=True):
        assert seen.shape == images.shape
        np.testing.assert_array_equal(view.restore(seen, height=64)[:, 2:-2, 1:-1], images[:, 2:-2, 1:-1])


def test_shift_fills_with_the_edge(pixels):
    images = pixels(1, 8, 8, 1)
    _, down, *_ = VIEWS["shift"]
    seen = down.transform(images)
    np.testing.assert_array_equal(seen[:, 1:], images[:, :-1])
    np.testing.assert_array_equal(seen[:, 0], images[:, 0])
