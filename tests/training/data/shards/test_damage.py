import json
import os

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from support.shards import COUNT, counts, rewrite, set_bytes, set_count, size

from pocketzoo import training, zoo
from pocketzoo.training.data.records import HEADER, Shard, _masked_checksum, _whole_records


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
        ({"task": "sculpture"}, "sculpture"),
        ({"task": {"kind": "classification"}}, "task and labels are of different outputs"),
        ({"classes": 2}, "classes: Extra inputs are not permitted"),
    ],
)
def test_index_that_cannot_be_used_says_why(change, message, shards):
    index = json.loads((shards / "shards.json").read_text()) | change
    (shards / "shards.json").write_text(json.dumps(index))
    with pytest.raises(zoo.InputError, match=message):
        training.load_data(shards)


def set_label(features, value):
    features["image/class/label"].int64_list.value[:] = [value]
