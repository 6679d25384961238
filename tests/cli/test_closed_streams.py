"""Commands run in processes whose standard streams are closed, full, or read by nobody, and in other encodings."""

import os
import pty
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
OPEN = """
import os
from pocketzoo.cli.standard_streams import visible_streams
with visible_streams():
    print(os.open("/", os.O_RDONLY))
"""


def run(arguments: str, redirections: str = "", script: str = LIST, **environment: str):
    command = ["bash", "-o", "pipefail", "-c", f'"$0" -c "$1" {arguments} {redirections}', sys.executable, script]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, check=False)


@pytest.mark.parametrize("script", [LIST, SPINNER], ids=["list", "spinner"])
@pytest.mark.parametrize("closed", ["2>&-", ">&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_command_runs_with_closed_streams(closed, script):
    done = run("list --json", closed, script)
    assert (done.returncode, done.stderr) == (0, "")
    assert bool(done.stdout) == (script is LIST and closed == "2>&-")


def test_errors_do_not_go_to_standard_output_where_standard_error_is_closed():
    done = run("info no-such-model", "2>&-")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


def test_no_file_takes_the_number_of_a_closed_stream():
    done = run("", "2>&- <&-", OPEN)
    assert (done.returncode, int(done.stdout) > 2) == (0, True)


@pytest.mark.parametrize("command", ["list", "list --json", "--help", "info --help"])
def test_command_ends_silently_when_its_reader_has_gone(command):
    done = run(command, "| head -c 1 >/dev/null")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", ["list", "list --json", "--version"])
def test_full_disk_under_standard_output_is_an_error(command):
    done = run(command, "> /dev/full")
    assert (done.returncode, done.stderr) == (2, "Error: standard output cannot be written: No space left on device.\n")


def test_command_does_its_work_where_standard_error_cannot_be_written():
    done = run("list --json", "2> /dev/full")
    assert (done.returncode, done.stdout[:1]) == (0, "[")
    assert run("info no-such-model", "2> /dev/full").returncode == 2


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_tables_are_printed_in_every_encoding(encoding):
    done = run("list 'lenet*'", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, "")
    assert "lenet5" in done.stdout


def test_terminal_gets_colors_but_no_sequences_of_an_argument():
    leader, follower = pty.openpty()
    command = [sys.executable, "-c", LIST, "list", "--\x1b]0;t\x07\x1b[2J"]
    done = subprocess.run(command, stdout=follower, stderr=follower, env=os.environ | {"TERM": "xterm"}, check=False)
    shown = os.read(leader, 100_000).decode()
    for descriptor in (leader, follower):
        os.close(descriptor)
    assert done.returncode == 2
    assert "\x1b[" in shown
    assert r"\x1b]0;t\x07\x1b[2J" in shown
    assert not any(sequence in shown for sequence in ("\x1b]", "\x07", "\x1b[2J"))
