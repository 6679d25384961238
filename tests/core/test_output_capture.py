"""Suppressed output: descriptors 1 and 2 come back however blocks overlap, and exceptions keep what was printed."""

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from pocketzoo.core.output_capture import suppress_output

pytestmark = pytest.mark.fast

ONE_BLOCK = """
import os, sys
from pocketzoo.core.output_capture import suppress_output

def is_open(descriptor):
    try:
        return bool(os.fstat(descriptor))
    except OSError:
        return False

before = [is_open(descriptor) for descriptor in (0, 1, 2)]
try:
    with suppress_output():
        for descriptor in (1, 2):
            os.write(descriptor, b"chatter ")
        print("from Python")
        raise RuntimeError("converter failed")
except RuntimeError as error:
    from_python = "from Python\\n" if sys.stdout else ""  # buffered, so it comes last
    assert error.__notes__ == ["chatter chatter " + from_python], error.__notes__
assert [is_open(descriptor) for descriptor in (0, 1, 2)] == before
for descriptor in (1, 2):
    if is_open(descriptor):
        os.write(descriptor, b"after ")
"""


def standard_files() -> list[tuple[int, int]]:
    """Which files descriptors 1 and 2 refer to."""
    return [(os.fstat(descriptor).st_dev, os.fstat(descriptor).st_ino) for descriptor in (1, 2)]


@pytest.mark.parametrize("first_out", ["A", "B"])
def test_standard_files_are_restored_after_blocks_that_overlap(first_out, capfd):
    """A in, B in, A out, B out; and A in, B in, B out, A out: each block in a thread of its own."""
    before = standard_files()
    during: dict[str, list[tuple[int, int]]] = {}
    steps = [Barrier(2, timeout=10) for _ in range(4)]

    def enter_first() -> None:
        with suppress_output():
            steps[0].wait()  # A is in
            steps[1].wait()  # B is in
            during["both in"] = standard_files()
            if first_out == "B":
                steps[2].wait()  # B is out
                during["one in"] = standard_files()
                os.write(1, b"A alone")
        if first_out == "A":
            steps[2].wait()  # A is out

    def enter_second() -> None:
        steps[0].wait()
        with suppress_output():
            steps[1].wait()
            if first_out == "A":
                steps[2].wait()
                during["one in"] = standard_files()
                os.write(2, b"B alone")
        if first_out == "B":
            steps[2].wait()

    run_together(enter_first, enter_second)
    assert standard_files() == before
    assert not set(before) & {*during["both in"], *during["one in"]}
    os.write(1, b"printed afterward")
    assert capfd.readouterr() == ("printed afterward", "")


def test_many_blocks_in_many_threads_restore_standard_files(capfd):
    before, open_before = standard_files(), len(os.listdir("/proc/self/fd"))

    def enter_often() -> None:
        for _ in range(200):
            with suppress_output():
                os.write(1, b"chatter")

    run_together(*[enter_often] * 4)
    assert standard_files() == before
    assert len(os.listdir("/proc/self/fd")) == open_before
    assert capfd.readouterr() == ("", "")


def test_exception_keeps_what_was_printed_since_its_own_block_began(capfd):
    started, failed = Barrier(2, timeout=10), Barrier(2, timeout=10)
    notes: list[str] = []

    def stay() -> None:
        with suppress_output():
            os.write(1, b"printed before the other block")
            started.wait()
            failed.wait()

    def fail() -> None:
        started.wait()
        try:
            with suppress_output():
                os.write(2, b"printed by a converter")
                raise RuntimeError("no such operator")
        except RuntimeError as error:
            notes.extend(error.__notes__)
        failed.wait()

    run_together(stay, fail)
    assert notes == ["printed by a converter"]
    assert capfd.readouterr() == ("", "")


def test_block_inside_a_block_restores_nothing_early(capfd):
    before = standard_files()
    with suppress_output():
        with suppress_output():
            os.write(1, b"inner")
        os.write(1, b"outer")
    assert standard_files() == before
    assert capfd.readouterr() == ("", "")


def test_exception_that_printed_nothing_gets_no_note():
    with pytest.raises(RuntimeError) as raised, suppress_output():
        raise RuntimeError
    assert not hasattr(raised.value, "__notes__")


def test_verbose_mode_suppresses_nothing(capfd, monkeypatch):
    monkeypatch.setenv("POCKETZOO_VERBOSE", "1")
    with suppress_output():
        os.write(1, b"chatter")
    with pytest.raises(RuntimeError) as raised, suppress_output():
        raise RuntimeError
    assert not hasattr(raised.value, "__notes__")
    assert capfd.readouterr() == ("chatter", "")


@pytest.mark.parametrize("closed", ["", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_stay_closed(closed):
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, ONE_BLOCK], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ("" if ">&-" in closed.replace("2>&-", "") else "after ")
    assert done.stderr == ("" if "2>&-" in closed else "after ")


def run_together(*functions: Callable[[], None]) -> None:
    """Runs each function in a thread of its own; raises what the first of them raised."""
    with ThreadPoolExecutor(len(functions)) as pool:
        for future in [pool.submit(function) for function in functions]:
            future.result()
