import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketzoo.export.artifact import gzip_size

pytestmark = pytest.mark.fast


@given(st.binary(max_size=100))
def test_members_form_one_gzip_file(content):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gzip_size, "PIECE", 16)
        members = gzip_size.gzip_members(content)
        assert gzip.decompress(b"".join(members)) == content
        assert gzip_size.gzipped_size(content) == sum(map(len, members))


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
@pytest.mark.parametrize("kept", [1.0, 0.5, 0.2], ids=["dense", "half zeros", "mostly zeros"])
def test_size_is_that_of_gzip(kept, dtype):
    random = np.random.default_rng(0)
    weights = random.normal(0, 30, 100_000) * (random.random(100_000) < kept)
    content = np.clip(weights, -127, 127).astype(dtype).tobytes()
    assert gzip_size.gzipped_size(content) == pytest.approx(len(gzip.compress(content, 6)), rel=0.01)
