"""The image classifications of `keras.datasets`, from its cache, or downloaded by it."""

import os
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from ...core.errors import InputError, first_line, unknown
from ...zoo.pretrained.network_errors import switched_off
from .idx import list_idx
from .listing import Listing
from .pixel_rows import list_pixels

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist has the same files."""
CIFAR100 = (
    "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle "
    "caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant "
    "flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man "
    "maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree "
    "plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper "
    "snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train "
    "trout tulip turtle wardrobe whale willow_tree wolf woman worm"
)


@dataclass(frozen=True)
class KerasDataset:
    """A data set of `keras.datasets`."""

    labels: tuple[str, ...]
    """Names of the classes in the order of their numbers."""
    files: tuple[str, ...]
    """What Keras keeps of it in its cache."""


DATASETS = {
    "mnist": KerasDataset(tuple("0123456789"), ("mnist.npz",)),
    "fashion_mnist": KerasDataset(
        (
            *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
            *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ),
        tuple(
            f"fashion-mnist/{part}-{kind}-ubyte.gz"
            for part in ("train", "t10k")
            for kind in ("images-idx3", "labels-idx1")
        ),
    ),
    "cifar10": KerasDataset(
        ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        ("cifar-10-batches-py-target_archive",),
    ),
    "cifar100": KerasDataset(tuple(CIFAR100.split()), ("cifar-100-python-target_archive",)),
}


def list_keras(name: str) -> Listing:
    """Return the images of a data set in its published splits, train and test; see `list_pixels` for copies.

    It is read from Keras' cache, `~/.keras/datasets` or `datasets` in KERAS_HOME; `fashion_mnist` also from Debian's
    package. If it is there nowhere, Keras downloads it.

    Args:
        name: A name in `DATASETS`.

    Raises:
        InputError: There is no such data set, or it is not there and cannot be downloaded.
    """
    check_keras_name(name)
    source, dataset = f"keras:{name}", DATASETS[name]
    if name == "fashion_mnist" and not _is_cached(dataset) and DEBIAN.is_dir():
        return list_idx(DEBIAN, dataset.labels, source=source)
    parts = {
        split: (f"{source} {split}", pixels.reshape(*pixels.shape[:3], -1), classes.reshape(-1))
        for split, (pixels, classes) in zip(("train", "test"), _load(name), strict=True)
    }
    return list_pixels(source, parts, dataset.labels)


def check_keras_name(name: str) -> None:
    """Raise InputError where there is no data set of that name."""
    if name not in DATASETS:
        raise unknown("data set 'keras:'", name, DATASETS)


def _load(name: str) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    dataset, known = DATASETS[name], _cache() / DATASETS[name].files[0]
    cached = _is_cached(dataset)
    setting = switched_off("keras")
    if setting and not cached:
        raise InputError(f"keras:{name} is not in Keras' cache ({known}), and cannot be downloaded: {setting} is set.")
    try:
        with redirect_stdout(sys.stderr):  # where Keras reports a download
            return getattr(keras.datasets, name).load_data()
    except Exception as error:  # of urllib, of Keras, of zip and pickle in a damaged file
        if cached:
            raise InputError(
                f"keras:{name} cannot be read from {known}: {first_line(error)}; remove that, so that it is downloaded "
                "again."
            ) from error
        raise InputError(
            f"keras:{name} is not in Keras' cache and cannot be downloaded: {first_line(error)}. Where there is a "
            f"network, keras.datasets.{name}.load_data() gets it; copy it to {known.parent} here, or name another "
            "folder than ~/.keras in KERAS_HOME."
        ) from error


def _cache() -> Path:
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "datasets"


def _is_cached(dataset: KerasDataset) -> bool:
    return all((_cache() / file).exists() for file in dataset.files)
