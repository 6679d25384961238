import os
import stat

import pytest

from pocketzoo.core.atomic_files import atomic_directory, atomic_path

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
