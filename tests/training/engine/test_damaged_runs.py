"""Files of a run that a disk or an editor has damaged."""

import pytest

from pocketzoo.core.errors import InputError
from pocketzoo.training import Recipe
from pocketzoo.training.engine.run_directory import ENVIRONMENT, SETTINGS, RunDirectory

pytestmark = pytest.mark.fast


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"\x00\xff"])
def test_damaged_log_of_environments_is_named_on_resume(tmp_path, content):
    (tmp_path / SETTINGS).write_text("{}")
    (tmp_path / ENVIRONMENT).write_bytes(content)
    with pytest.raises(InputError, match=ENVIRONMENT):
        RunDirectory(tmp_path)._add_environment(Recipe())


def test_damaged_number_of_epochs_is_named_on_extension(tmp_path):
    (tmp_path / SETTINGS).write_text('{"epochs": {"a": []}}')
    with pytest.raises(InputError, match=r"pocketzoo-run.json is damaged: epochs is \{'a'"):
        RunDirectory(tmp_path)._extend(["epochs"], Recipe(), {})
