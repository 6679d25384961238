import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from support.edge import net, subject_of


@pytest.fixture(scope="session")
def small_file(tmp_path_factory):
    return subject_of(net(), tmp_path_factory.mktemp("small"))


@pytest.fixture
def small(small_file, tmp_path):
    """A small int8 net as a subject of checks, in a folder of its own."""
    return replace(small_file, path=Path(shutil.copy(small_file.path, tmp_path)))
