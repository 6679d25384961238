import errno
import fcntl
import os
import shutil
import stat
import subprocess
import sys

import pytest

from pocketzoo.core.atomic_files import UNFINISHED, atomic_directory, atomic_path, remove_abandoned
from pocketzoo.core.errors import InputError

pytestmark = pytest.mark.fast


def test_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "new" / "weights.tar.gz"
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        assert temporary.name.endswith(".tar.gz")
    assert path.read_text() == "half"
    assert [entry.name for entry in path.parent.iterdir()] == ["weights.tar.gz"]


def test_block_that_raises_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "file"
    path.write_text("before")

    def fail() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("after")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_directory_is_replaced_when_the_block_ends(tmp_path):
    path = tmp_path / "bundle"
    for name in ("first", "second"):
        with atomic_directory(path) as folder:
            (folder / name).write_text("")
    assert [entry.relative_to(path).name for entry in path.iterdir()] == ["second"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["bundle"]


def test_block_that_raises_leaves_the_directory_as_it_was(tmp_path):
    path = tmp_path / "bundle"
    path.mkdir()
    (path / "before").write_text("")

    def fail() -> None:
        with atomic_directory(path) as folder:
            (folder / "after").write_text("")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [entry.name for entry in path.iterdir()] == ["before"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["bundle"]


def test_directory_that_cannot_be_replaced_stays(tmp_path, monkeypatch):
    path = tmp_path / "bundle"
    path.mkdir()
    (path / "before").write_text("")
    rename = os.rename

    def without_room(old, new):
        if new == path and old.name.startswith(".") and (old / "after").exists():
            raise OSError(28, "No space left on device")
        rename(old, new)

    monkeypatch.setattr(os, "rename", without_room)

    def fail() -> None:
        with atomic_directory(path) as folder:
            (folder / "after").write_text("")

    with pytest.raises(OSError, match="No space left"):
        fail()
    assert [entry.name for entry in path.iterdir()] == ["before"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["bundle"]


def test_finished_entries_have_the_permissions_of_any_other(tmp_path):
    with atomic_path(tmp_path / "file") as temporary:
        temporary.write_text("")
    with atomic_directory(tmp_path / "directory"):
        pass
    (tmp_path / "other").write_text("")
    (tmp_path / "others").mkdir()
    for ours, other in (("file", "other"), ("directory", "others")):
        modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in (ours, other)}
        assert len(modes) == 1


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_file_that_cannot_be_written_is_an_input_error_with_its_own_name(tmp_path, monkeypatch, call):
    """The file system may tell of a full quota at the last moment."""

    def full(*_):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    def write() -> None:
        with atomic_path(tmp_path / "file") as temporary:
            temporary.write_text("")

    with monkeypatch.context() as patched:
        patched.setattr(os, call, full)
        with pytest.raises(InputError, match=r"/file cannot be written: Disk quota exceeded\.$") as error:
            write()
    assert error.value.errno == errno.EDQUOT
    assert names(tmp_path) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from pocketzoo.core.atomic_files import atomic_directory, atomic_path
from pocketzoo.core.file_lock import hold_lock
folder = Path(sys.argv[1])
with (
    atomic_directory(folder / "bundle") as bundle,
    atomic_path(folder / "weights.tar.gz"),
    hold_lock(folder / ".pocketzoo-bundle.lock", what="it", busy="it is held"),
):
    (bundle / "file").write_text("half")
    print("working", flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_process_left_is_removed_and_what_is_in_use_stays(tmp_path):
    for name in ("notes.txt", ".pocketzoo-of-another-tool", f"{UNFINISHED}0123456789abcdef-mine"):
        (tmp_path / name).write_text("precious")
    others = names(tmp_path)
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process,
        atomic_directory(tmp_path / "mine") as mine,
    ):
        assert process.stdout.readline() == b"working\n"
        before = names(tmp_path)
        remove_abandoned(tmp_path)
        assert names(tmp_path) == before
        assert len(before) == len(others) + 4
        process.kill()
        process.wait()
        remove_abandoned(tmp_path)
        assert names(tmp_path) == sorted([*others, mine.name])
    assert names(tmp_path) == sorted([*others, "mine"])


def test_directory_that_a_killed_process_had_moved_away_is_moved_back(tmp_path):
    (tmp_path / ".pocketzoo-lost.old").mkdir()
    (tmp_path / ".pocketzoo-lost.old" / "manifest.json").write_text("precious")
    (tmp_path / ".pocketzoo-replaced.old").mkdir()
    (tmp_path / "replaced").mkdir()
    remove_abandoned(tmp_path)
    assert names(tmp_path) == ["lost", "replaced"]
    assert names(tmp_path / "lost") == ["manifest.json"]


def test_link_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "thesis.txt").write_text("precious")
    (tmp_path / f"{UNFINISHED}0123456789abcdef").symlink_to(tmp_path / "elsewhere")
    remove_abandoned(tmp_path)
    assert names(tmp_path / "elsewhere") == ["thesis.txt"]


def test_entry_that_is_taken_for_abandoned_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    flock, removed = fcntl.flock, []

    def lose_the_race(descriptor, operation):
        if not removed:
            removed.extend(tmp_path.iterdir())
            shutil.rmtree(removed[0])
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", lose_the_race)
    with atomic_directory(tmp_path / "bundle") as folder:
        assert [folder] == list(tmp_path.iterdir()) != removed
    assert names(tmp_path) == ["bundle"]


def test_nothing_is_removed_where_the_file_system_has_no_locks(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with atomic_directory(tmp_path / "bundle") as folder:
        remove_abandoned(tmp_path)
        (folder / "file").write_text("")
    assert names(tmp_path) == ["bundle"]


@pytest.mark.parametrize("name", ["device", "pipe", "folder", "file/below", "nul\0"])
def test_what_is_no_file_is_not_replaced(name, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("kept")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/null")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match=r"cannot be written: |null character"), atomic_path(tmp_path / name):
        raise AssertionError
    assert sorted(tmp_path.iterdir()) == before
