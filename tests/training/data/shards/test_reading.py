import json

import numpy as np
import tensorflow as tf
from support.shards import COUNT, counts, size

from pocketzoo import training
from pocketzoo.training.data.pipeline import training_batches


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
