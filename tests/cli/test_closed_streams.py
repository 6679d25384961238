"""Commands run in processes whose standard output or error is closed, as under some services."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.fast

LIST = "from pocketzoo.cli.main import main; main()"
SPINNER = """
import os
from pocketzoo.cli import console
before = len(os.listdir("/proc/self/fd"))
with console.status("Converting") as update:
    update("Validating")
assert len(os.listdir("/proc/self/fd")) == before
"""


@pytest.mark.parametrize("script", [LIST, SPINNER], ids=["list", "spinner"])
@pytest.mark.parametrize("closed", ["2>&-", ">&-", ">&- 2>&-"])
def test_command_runs_with_closed_streams(closed, script):
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" list --json {closed}', sys.executable, script], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert bool(done.stdout) == (script is LIST and closed == "2>&-")
