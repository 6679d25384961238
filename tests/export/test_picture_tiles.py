"""Pictures through models of a fixed size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketzoo.export.picture_tiles import run_in_tiles

pytestmark = pytest.mark.fast

sides = st.tuples(st.integers(1, 70), st.integers(1, 70))


@settings(deadline=None)
@given(picture=sides, tile=st.tuples(st.integers(2, 24), st.integers(2, 24)), scale=st.integers(1, 3))
def test_model_that_enlarges_each_pixel_enlarges_the_whole_picture(picture, tile, scale):
    pixels = np.random.default_rng(0).random((*picture, 2)).astype("float32")

    def run(part):
        assert part.shape == (*tile, 2)
        return part.repeat(scale, axis=0).repeat(scale, axis=1)

    made = run_in_tiles(pixels, *tile, run)
    np.testing.assert_allclose(made, pixels.repeat(scale, axis=0).repeat(scale, axis=1), rtol=1e-6)


def test_seams_of_tiles_that_differ_are_blended():
    count = iter(range(100))
    made = run_in_tiles(np.zeros((16, 40, 1)), 16, 16, lambda part: part + next(count))
    assert np.abs(np.diff(made[:, :, 0], axis=1)).max() < 0.35
