"""Datasets of tensorflow-datasets, read from the TFRecord files that it prepares."""

from pathlib import Path
from typing import TYPE_CHECKING

from ...core.errors import InputError, first_line
from .listing import Listing
from .records import Field, Shard, list_records
from .splitting import SPLIT_NAMES

if TYPE_CHECKING:
    import tensorflow_datasets


def list_tfds(name: str) -> Listing:
    """Return the images of a classification dataset, downloaded and prepared if necessary.

    Splits named train, validation (or val, valid) and test are used; others are ignored.

    Args:
        name: Name for `tensorflow_datasets.builder`: `"beans"`, `"name/config:1.0.0"`.

    Raises:
        InputError: tensorflow-datasets is not installed or cannot load the dataset, or it is not a classification.
    """
    try:
        import tensorflow_datasets
    except ImportError as error:
        raise InputError("'tfds:NAME' requires tensorflow-datasets: pip install 'pocketzoo[tfds]'.") from error
    source = f"tfds:{name}"
    try:
        builder = tensorflow_datasets.builder(name)
        builder.download_and_prepare()
    except Exception as error:  # of tensorflow-datasets, of the network and of each dataset's own code
        raise InputError(f"{source}: tensorflow-datasets cannot load it: {first_line(error)}") from error
    image, field = _keys(builder, source)
    return list_records(source, _shards(builder, source), image, field)


def _keys(builder: "tensorflow_datasets.core.DatasetBuilder", source: str) -> tuple[str, Field]:
    """Return the keys of the image and of the class in an example."""
    import tensorflow_datasets as tfds

    features = builder.info.features
    images = [key for key, feature in features.items() if isinstance(feature, tfds.features.Image)]
    classes = [key for key, feature in features.items() if isinstance(feature, tfds.features.ClassLabel)]
    image, label = builder.info.supervised_keys or (*images[:1], *classes[:1]) or (None, None)
    if image not in images or label not in classes:
        raise InputError(f"{source} is not an image classification; it has {', '.join(features)}.")
    return image, Field(label, "classification", tuple(features[label].names))


def _shards(builder: "tensorflow_datasets.core.DatasetBuilder", source: str) -> list[Shard]:
    form = builder.info.file_format.value
    if form != "tfrecord":
        raise InputError(
            f"{source} was prepared as {form} files; it takes TFRecord files, tensorflow-datasets' default."
        )
    shards = [
        Shard(Path(path), SPLIT_NAMES[split], count)
        for split, of_split in builder.info.splits.items()
        if split in SPLIT_NAMES
        for path, count in zip(of_split.filepaths, of_split.shard_lengths, strict=True)
    ]
    if "train" not in {shard.split for shard in shards}:
        raise InputError(f"{source} has no split train; it has {', '.join(builder.info.splits) or 'none'}.")
    return shards
