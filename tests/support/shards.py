"""What the tests of shards do to a folder of them."""

import json

import tensorflow as tf

COUNT = 24
"""Images in the table that shards are written from."""


def counts(folder):
    return json.loads((folder / "shards.json").read_text())["shards"]


def set_count(folder, name, count):
    index = json.loads((folder / "shards.json").read_text())
    index["shards"] |= {name: count}
    (folder / "shards.json").write_text(json.dumps(index))


def size(data):
    return len(data.train) + len(data.validation) + len(data.test)


def rewrite(shard, number, change, image=None):
    """Changes the features of one record of a shard, and puts its checksums right."""
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
