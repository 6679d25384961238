import resource

import pytest
from support.shards import COUNT

from pocketzoo import training, zoo
from pocketzoo.core.file_lock import hold_lock
from pocketzoo.core.work_directory import LOCK
from pocketzoo.training.data.shards import BEGUN


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shard_mb": 0}, "shard_mb is 0; it takes a number of megabytes"),
        ({"folder": "."}, "is not empty; shards are written into an empty"),
    ],
)
def test_shards_that_cannot_be_written_say_why(arguments, message, table, tmp_path):
    data = training.load_data(table({"age": range(COUNT)}), image_size=8)
    with pytest.raises(zoo.InputError, match=message):
        training.write_shards(data, tmp_path / arguments.pop("folder", "out"), **arguments)


def test_images_in_memory_are_not_written_as_shards(digits, tmp_path):
    with pytest.raises(zoo.InputError, match="digits is not made of files; shards are written from a folder"):
        training.write_shards(digits, tmp_path / "out")


def test_file_that_vanishes_while_writing_leaves_no_half_shard_and_no_index(table, tmp_path):
    data = training.load_data(table({"age": range(COUNT)}), image_size=8)
    (tmp_path / "20.png").unlink()
    with pytest.raises(zoo.InputError, match=r"20\.png: there is no such file"):
        training.write_shards(data, tmp_path / "out", shard_mb=0.001)
    left = [file.name for file in (tmp_path / "out").iterdir()]
    assert all(name.endswith(".tfrecord") and name[0] != "." for name in left)


def test_whole_shards_of_a_killed_process_are_replaced(table, tmp_path):
    data, folder = training.load_data(table({"label": ["ant", "bee"] * 12}), image_size=6), tmp_path / "shards"
    whole = training.write_shards(data, folder)
    (folder / "shards.json").unlink()
    (folder / LOCK).touch()  # a process was killed before it had looked
    with pytest.raises(zoo.InputError, match="is not empty"):  # they may be anyone's
        training.write_shards(data, folder)
    (folder / BEGUN).touch()
    (folder / "train-00009.tfrecord").touch()
    assert training.write_shards(data, folder) == whole
    assert sorted(path.name for path in folder.iterdir()) == sorted([*whole.shards, "shards.json"])
    (folder / BEGUN).touch()  # killed when the index was there
    with pytest.raises(zoo.InputError, match="is not empty"):
        training.write_shards(data, folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted([*whole.shards, "shards.json"])


def test_shards_without_room_leave_an_empty_folder(table, tmp_path, monkeypatch):
    data, folder = training.load_data(table({"label": ["ant", "bee"] * 12}), image_size=6), tmp_path / "shards"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (0, 500, 2000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        try:
            with pytest.raises(zoo.InputError, match=r"train-0000\d\.tfrecord cannot be written: File too large"):
                training.write_shards(data, folder, shard_mb=0.0018 if limit > 500 else 100)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert list(folder.iterdir()) == []
    training.write_shards(data, folder)


def test_folder_of_shards_is_written_by_one_process_and_cleared_of_what_a_killed_one_left(table, tmp_path):
    data, folder = training.load_data(table({"label": ["ant", "bee"] * 12}), image_size=6), tmp_path / "shards"
    folder.mkdir()
    with (
        hold_lock(folder / LOCK, what="it", busy="it is held"),
        pytest.raises(zoo.InputError, match="shards is in use by another process: process "),
    ):
        training.write_shards(data, folder)
    (folder / ".pocketzoo-0123456789abcdef.tfrecord").write_text("half")
    index = training.write_shards(data, folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted([*index.shards, "shards.json"])
