"""Locks end with their process, and tell others who holds them."""

import errno
import fcntl
import os
import re
import signal
import subprocess
import sys
import threading

import pytest

from pocketzoo.core.errors import InputError
from pocketzoo.core.file_lock import hold_lock, open_locked, release, wait_for_lock

pytestmark = pytest.mark.fast

HOLD = """
import sys
from pathlib import Path
from pocketzoo.core.file_lock import hold_lock
with hold_lock(Path(sys.argv[1]), what="it", busy="it is held"):
    print("locked", flush=True)
    sys.stdin.read()
"""


def held(path):
    return hold_lock(path, what="it", busy="it is held")


def assert_held(path, by="") -> None:
    with pytest.raises(InputError, match=f"^it is held{by}"), held(path):
        pass


def test_lock_tells_who_holds_it_and_ends_with_a_killed_process(tmp_path):
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"locked\n"
        holder = f": process {process.pid} on {re.escape(os.uname().nodename)} since 20.*, '-c {re.escape(str(path))}"
        assert_held(path, holder)
        link = tmp_path / "folder"
        link.symlink_to(tmp_path)
        assert_held(link / "lock", holder)
        process.send_signal(signal.SIGKILL)
    with held(path):
        assert_held(path, f": process {os.getpid()} on ")  # the description of the dead process is gone
    assert not path.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', "[" * 4000, "\0" * 100])
def test_description_that_cannot_be_read_is_left_out(tmp_path, content):
    path = tmp_path / "lock"
    with held(path):
        path.write_text(content)
        with pytest.raises(InputError, match=r"^it is held\.$"), held(path):
            pass


def test_description_has_no_control_characters(tmp_path):
    path = tmp_path / "lock"
    with held(path):
        path.write_text('{"pid": 1, "host": "\\u001b]0;title\\u0007", "since": "now", "command": "\\n"}')
        with pytest.raises(InputError) as error, held(path):
            pass
    assert str(error.value) == "it is held: process 1 on ]0;title since now, ''."


def test_threads_exclude_one_another(tmp_path):
    refused = []

    def try_once():
        try:
            with held(tmp_path / "lock"):
                pass
        except InputError as error:
            refused.append(error)

    with held(tmp_path / "lock"):
        thread = threading.Thread(target=try_once)
        thread.start()
        thread.join()
    assert len(refused) == 1
    try_once()
    assert len(refused) == 1


def test_many_processes_that_lock_and_unlock_are_never_inside_together(tmp_path):
    """The file is removed with every release, under the feet of those that have just opened it."""
    script = """
import os, sys, time
from pathlib import Path
from pocketzoo.core.errors import InputError
from pocketzoo.core.file_lock import hold_lock
folder, entered = Path(sys.argv[1]), 0
end = time.time() + 60
while entered < 40 and time.time() < end:
    try:
        with hold_lock(folder / "lock", what="it", busy="it is held"):
            os.close(os.open(folder / "inside", os.O_CREAT | os.O_EXCL))
            os.unlink(folder / "inside")
            entered += 1
    except InputError:
        pass
sys.exit(entered != 40)
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    processes = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]


def test_lock_that_is_waited_for_is_held_next(tmp_path):
    path, waiting, order = tmp_path / "lock", threading.Event(), []

    def wait() -> None:
        with wait_for_lock(path, what="it", on_wait=waiting.set):
            assert_held(path)
            order.append("next")

    thread = threading.Thread(target=wait)
    with held(path):
        thread.start()
        assert waiting.wait(10)
        order.append("first")
    thread.join()
    assert order == ["first", "next"]
    assert not path.exists()


def test_lock_does_not_outlive_its_holder_in_a_forked_process(tmp_path):
    path = tmp_path / "lock"
    descriptor = open_locked(path, os.O_RDWR | os.O_CREAT)
    ready, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, b"forked")
        signal.pause()
    try:
        os.read(ready, 6)
        assert_held(path)
        release(descriptor)
        with held(path):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ready)
        os.close(write)


def test_file_that_took_the_place_of_the_lock_stays(tmp_path):
    """As after `rm -r` of a directory in use, and a new job in it."""
    path = tmp_path / "lock"
    with held(path):
        path.unlink()
        path.write_text("of another process")
    assert path.read_text() == "of another process"


def test_without_room_the_lock_holds_all_the_same(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with held(tmp_path / "lock"):
        assert_held(tmp_path / "lock", r"\.$")


def test_file_system_without_locks_is_reported(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with pytest.warns(UserWarning, match="it is not locked, since its file system has no locks"), held(tmp_path / "l"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_lock_that_cannot_be_written_is_an_input_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="it cannot be written: Not a directory"), held(tmp_path / "file" / "lock"):
        pass
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="it cannot be written: Too many levels"), held(tmp_path / "link"):
        pass
    assert not (tmp_path / "elsewhere").exists()
