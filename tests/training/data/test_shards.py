import json
import os
import resource

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pocketzoo import training, zoo
from pocketzoo.core.file_lock import hold_lock
from pocketzoo.core.work_directory import LOCK
from pocketzoo.training.data.pipeline import training_batches
from pocketzoo.training.data.records import HEADER, Shard, _masked_checksum, _whole_records
from pocketzoo.training.data.shards import BEGUN

COUNT = 24


def write_image(path, row):
    """A picture of its own noise and, in its first place, its number."""
    pixels = np.random.default_rng(row).integers(0, 256, (5 + row % 3, 7, 3), dtype="uint8")
    pixels[0, 0] = row
    Image.fromarray(pixels).save(path)


@pytest.fixture
def table(tmp_path):
    """A table of these columns, beside an image for each row."""

    def write(columns):
        for row in range(COUNT):
            write_image(tmp_path / f"{row}.png", row)
        rows = zip(*columns.values(), strict=True)
        lines = [f"{number}.png,{','.join(map(str, row))}" for number, row in enumerate(rows)]
        (tmp_path / "table.csv").write_text("\n".join([f"image,{','.join(columns)}", *lines]))
        return tmp_path / "table.csv"

    return write


@pytest.fixture
def masked(table, tmp_path):
    """A table with every kind of target."""
    source = table(
        {
            "kind.label": ["ant", "bee"] * 12,
            "tags.labels": ["a;b", "", "b"] * 8,
            "box.x": range(COUNT),
            "box.y": np.linspace(0, 1, COUNT),
            "road.mask": [f"{row}-mask.png" for row in range(COUNT)],
        }
    )
    for row in range(COUNT):
        mask = np.random.default_rng(row).integers(0, 3, (5 + row % 3, 7), dtype="uint8")
        Image.fromarray(mask).save(tmp_path / f"{row}-mask.png")
    (tmp_path / "road.labels.txt").write_text("ground\ncar\ntree")
    return source


@pytest.fixture
def shards(table, tmp_path):
    """Three shards of train, and one of each other split."""
    data = training.load_data(table({"label": ["ant", "bee"] * 12}), image_size=6)
    training.write_shards(data, tmp_path / "shards", shard_mb=0.0018)
    return tmp_path / "shards"


def counts(folder):
    return json.loads((folder / "shards.json").read_text())["shards"]


def set_count(folder, name, count):
    index = json.loads((folder / "shards.json").read_text())
    index["shards"] |= {name: count}
    (folder / "shards.json").write_text(json.dumps(index))


def size(data):
    return len(data.train) + len(data.validation) + len(data.test)


def test_shards_give_the_dataset_that_they_were_written_from(masked, tmp_path):
    data = training.load_data(masked, image_size=(5, 7))
    index = training.write_shards(data, tmp_path / "shards", shard_mb=0.003)
    assert sum(index.shards.values()) == COUNT
    assert len(index.shards) > 3
    again = training.load_data(tmp_path / "shards", image_size=(5, 7))
    assert (again.task, again.labels) == (data.task, data.labels)
    for name in ("train", "validation", "test"):
        (images, targets), (found, found_targets) = getattr(data, name).arrays(), getattr(again, name).arrays()
        np.testing.assert_array_equal(found, images)
        assert found_targets.keys() == targets.keys()
        for output, rows in targets.items():
            np.testing.assert_array_equal(found_targets[output], rows)
            assert found_targets[output].dtype == rows.dtype


def test_training_sees_shards_as_it_sees_files(table, shards, tmp_path):
    recipe = training.Recipe(epochs=2, batch_size=5, seed=3)
    streams = [
        training_batches(training.load_data(source, image_size=6).train, recipe)
        for source in (tmp_path / "table.csv", shards)
    ]
    for (images, labels), (found, found_labels) in zip(*streams, strict=True):
        np.testing.assert_array_equal(found, images)
        np.testing.assert_array_equal(found_labels, labels)


def test_records_are_read_by_tensorflow_itself(shards):
    files = sorted(map(str, shards.glob("train-*.tfrecord")))
    form = {
        "image/encoded": tf.io.FixedLenFeature([], tf.string),
        "image/filename": tf.io.FixedLenFeature([], tf.string),
        "image/class/label": tf.io.FixedLenFeature([], tf.int64),
    }
    rows = [tf.io.parse_single_example(record, form) for record in tf.data.TFRecordDataset(files)]
    assert len(rows) == 18
    for row in rows:
        number = int(row["image/filename"].numpy().decode().removesuffix(".png"))
        assert tf.io.decode_png(row["image/encoded"])[0, 0, 0] == number
        assert row["image/class/label"] == number % 2


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=8)
@given(share=st.floats(0, 1, exclude_max=True))
def test_shard_cut_anywhere_is_named_or_what_it_lacks_is_counted(share, shards):
    path = shards / "train-00001.tfrecord"
    whole, expected = path.read_bytes(), counts(shards)[path.name]
    try:
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(
            zoo.InputError, match=r"of 24 images cannot be read, first .*train-00001\.tfrecord is damaged, cut"
        ) as caught:
            training.load_data(shards, image_size=6)
        data = training.load_data(shards, image_size=6, on_unreadable="skip")
    finally:
        path.write_bytes(whole)
    lost = len(data.skipped)
    assert str(caught.value).startswith(f"{shards}: {lost} of 24 images")
    assert f"after {expected - lost} of its {expected} records" in str(caught.value)
    assert 1 <= lost <= expected
    assert all("train-00001.tfrecord (record" in name for name in data.skipped)
    assert size(data) == COUNT - lost


def test_changed_byte_is_found_by_its_checksum(shards):
    path = shards / "train-00000.tfrecord"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(zoo.InputError, match=r"train-00000\.tfrecord is damaged, cut short or gone after"):
        training.load_data(shards)


def test_shard_that_is_gone_is_named_and_counted(shards):
    (shards / "train-00002.tfrecord").unlink()
    with pytest.raises(zoo.InputError, match=r"train-00002\.tfrecord is damaged, cut short or gone after 0 of its"):
        training.load_data(shards)
    data = training.load_data(shards, on_unreadable="skip")
    assert len(data.skipped) == counts(shards)["train-00002.tfrecord"]


@pytest.mark.parametrize("claim", [10**7, 10**20])
@pytest.mark.parametrize("name", ["train-00000.tfrecord", "train-00009.tfrecord"])
def test_index_that_counts_records_by_the_million_is_refused(shards, name, claim):
    set_count(shards, name, claim)
    with pytest.raises(zoo.InputError, match=rf"of the {claim:,} records .* are missing; the limit is 100,000"):
        training.load_data(shards, on_unreadable="skip")


@pytest.mark.parametrize("count", [-1, 0, 1.5, "x", [1], 1e300])
def test_impossible_count_in_the_index_is_refused(shards, count):
    set_count(shards, "train-00000.tfrecord", count)
    with pytest.raises(zoo.InputError, match=r"shards\.json: shards\.train-00000\.tfrecord"):
        training.load_data(shards)


def test_record_of_a_terabyte_with_a_valid_checksum_is_not_given_to_tensorflow(shards):
    path = shards / "train-00000.tfrecord"
    header = HEADER.pack(2**40, _masked_checksum(2**40))
    whole = path.read_bytes()
    for start, count in ((b"", 0), (whole, counts(shards)[path.name])):
        path.write_bytes(start + header + b"content")
        set_count(shards, path.name, count + 1)
        with pytest.raises(
            zoo.InputError, match=rf"after {count} of .* says it has 1,099,511,627,776 bytes; the limit is 268,435,456"
        ):
            training.load_data(shards)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: (path.touch(), os.truncate(path, 2**40))])
def test_shard_that_is_a_pipe_a_folder_or_a_terabyte_of_nothing_is_lost(shards, make):
    path, lost = shards / "train-00000.tfrecord", counts(shards)["train-00000.tfrecord"]
    path.unlink()
    make(path)
    with pytest.raises(zoo.InputError, match=rf"after 0 of its {lost} records"):
        training.load_data(shards)
    assert len(training.load_data(shards, image_size=6, on_unreadable="skip").skipped) == lost


@settings(deadline=None)
@given(lengths=st.lists(st.integers(0, 3000), max_size=5), cut=st.integers(0, 20))
def test_records_are_counted_by_their_lengths_as_tensorflow_writes_them(lengths, cut, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "counted.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for length in lengths:
            writer.write(b"x" * length)
    assert _whole_records(Shard(path, "train", len(lengths))) == (len(lengths), "")
    if lengths:
        os.truncate(path, max(0, path.stat().st_size - 1 - min(cut, lengths[-1])))
        assert _whole_records(Shard(path, "train", len(lengths))) == (len(lengths) - 1, "")


def test_split_that_is_lost_is_not_taken_from_train_instead(shards):
    for name in counts(shards):
        if name.startswith("test"):
            (shards / name).unlink()
    with pytest.raises(zoo.InputError, match="test has no readable images"):
        training.load_data(shards, on_unreadable="skip")


def test_damaged_image_in_a_whole_record_is_named_by_its_place(shards):
    rewrite(shards / "train-00000.tfrecord", 1, lambda features: set_bytes(features["image/encoded"], b"no image"))
    with pytest.raises(zoo.InputError, match=r"1 of 24 .*train-00000\.tfrecord \(at byte \d+\) cannot be read as an"):
        training.load_data(shards)
    assert len(training.load_data(shards, on_unreadable="skip").skipped) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda features: features.pop("image/encoded"), "the record has no 'image/encoded'"),
        (lambda features: features.pop("image/class/label"), r"'image/class/label' is \[\]; classes go from 0 to 1"),
        (lambda features: set_label(features, 2), r"'image/class/label' is \[2\]; classes go from 0 to 1"),
        (lambda features: set_label(features, -1), r"'image/class/label' is \[-1\]; classes go from 0 to 1"),
    ],
)
def test_record_without_what_it_takes_is_named_or_left_out(change, message, shards):
    rewrite(shards / "train-00001.tfrecord", 2, change)
    with pytest.raises(zoo.InputError, match=rf"1 of 24 .*train-00001\.tfrecord \(at byte \d+\): {message}"):
        training.load_data(shards)
    assert len(training.load_data(shards, on_unreadable="skip").skipped) == 1


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((4, 7), "uint8"), r"\(at byte \d+\) has 7x4 pixels, but its image has 7x5"),
        (np.full((5, 7), 3, "uint8"), r"\(at byte \d+\) has the value 3; class indices go from 0 to 2"),
    ],
)
def test_mask_that_is_none_of_its_image_is_named(mask, message, masked, tmp_path):
    training.write_shards(training.load_data(masked, image_size=8), tmp_path / "shards")
    Image.fromarray(mask).save(tmp_path / "wrong.png")
    wrong = (tmp_path / "wrong.png").read_bytes()
    rewrite(
        tmp_path / "shards" / "train-00000.tfrecord",
        0,
        lambda features: set_bytes(features["road/segmentation/class/encoded"], wrong),
        image=tmp_path / "0.png",
    )
    with pytest.raises(zoo.InputError, match=message):
        training.load_data(tmp_path / "shards")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"shards": {"train-0.tfrecord": 1, "../test-0.tfrecord": 1}},
            r"'\.\./test-0\.tfrecord' is not the name of a shard",
        ),
        ({"shards": {"test-0.tfrecord": 1}}, "there is no shard of train"),
        (
            {"shards": {"part-0.tfrecord": 1}},
            "'part-0.tfrecord' is not the name of a shard, such as train-00000.tfrecord",
        ),
        ({"shards": {"train-00000.tfrecord": 0}}, "greater than 0"),
        ({"shards": {"train-00000.tfrecord": 1}}, "has more than the 1 records that it should have"),
        ({"task": "detection"}, "detection"),
        ({"task": {"kind": "classification"}}, "task and labels are of different outputs"),
        ({"classes": 2}, "classes: Extra inputs are not permitted"),
    ],
)
def test_index_that_cannot_be_used_says_why(change, message, shards):
    index = json.loads((shards / "shards.json").read_text()) | change
    (shards / "shards.json").write_text(json.dumps(index))
    with pytest.raises(zoo.InputError, match=message):
        training.load_data(shards)


def test_shards_of_others_load_once_an_index_is_beside_them(shards):
    """What others write has the usual keys: an index by hand is enough."""
    names = {file.name: f"{file.stem}-of-00003" for file in shards.glob("*.tfrecord")}
    files = {names[name]: count for name, count in counts(shards).items()}
    for old, new in names.items():
        (shards / old).rename(shards / new)
    index = {"task": "classification", "labels": ["cat", "dog"], "shards": files}
    (shards / "shards.json").write_text(json.dumps(index))
    data = training.load_data(shards)
    assert (size(data), data.labels) == (COUNT, ("cat", "dog"))


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


def rewrite(shard, number, change, image=None):
    """Changes the features of one record of a shard, and puts its checksums right."""
    import tensorflow as tf

    records = list(tf.data.TFRecordDataset(str(shard)).as_numpy_iterator())
    example = tf.train.Example.FromString(records[number])
    change(example.features.feature)
    if image is not None:
        set_bytes(example.features.feature["image/encoded"], image.read_bytes())
    records[number] = example.SerializeToString()
    with tf.io.TFRecordWriter(str(shard)) as writer:
        for record in records:
            writer.write(record)


def set_bytes(feature, value):
    feature.bytes_list.value[:] = [value]


def set_label(features, value):
    features["image/class/label"].int64_list.value[:] = [value]


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
