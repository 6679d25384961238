"""A full folder for temporary files is named as the reason of a failure, also where a tool did not notice."""

import errno
import resource
import tempfile

import pytest

from pocketzoo.core.errors import InputError
from pocketzoo.core.temporary_space import needing_temporary_space

pytestmark = pytest.mark.fast


@pytest.fixture
def small_files_only():
    """Limits the size of the files of this process: the same errors out of the same calls as a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_tool_that_reads_a_file_cut_short_is_not_blamed(small_files_only):
    message = rf"^{tempfile.gettempdir()} cannot hold temporary files: File too large\.$"
    with pytest.raises(InputError, match=message), needing_temporary_space():
        raise ValueError("Wire format was corrupt")


def test_error_of_the_system_has_its_reason():
    message = "cannot hold temporary files: Disk quota exceeded"
    with pytest.raises(InputError, match=message), needing_temporary_space():
        raise OSError(errno.EDQUOT, "Disk quota exceeded")


@pytest.mark.parametrize("error", [ValueError("of the tool"), FileNotFoundError(errno.ENOENT, "no such file")])
def test_other_errors_stay_where_there_is_room(error):
    with pytest.raises(type(error)) as raised, needing_temporary_space():
        raise error
    assert raised.value is error


def test_mistake_of_the_user_stays_as_it_is(small_files_only):
    with pytest.raises(InputError, match="a mistake"), needing_temporary_space():
        raise InputError("a mistake")
