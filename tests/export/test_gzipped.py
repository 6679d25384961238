import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketzoo.export import gzipped


@pytest.fixture(autouse=True, scope="module")
def small_pieces():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gzipped, "PIECE", 16)
        yield


@given(st.binary(max_size=100))
def test_members_are_one_gzip_file_of_the_content(content):
    assert gzip.decompress(b"".join(gzipped.gzipped(content))) == content
    assert gzipped.gzipped_size(content) == len(b"".join(gzipped.gzipped(content)))
