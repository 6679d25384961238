"""Data sources by name or path."""

from operator import index
from pathlib import Path
from typing import Any

import numpy as np

from ...core.arguments import Seed, check_arguments
from ...core.errors import InputError
from ...zoo.image_files import Dtype
from .box_files import boxes_layout
from .built_in import BUILT_IN, check_built_in, is_built_in, load_built_in
from .coco_files import is_coco, list_coco
from .folders import Layout, list_folder
from .idx import is_idx, list_idx
from .images import ImageData
from .listing import Listing
from .reading import OnUnreadable, read_listing
from .signal_sources import has_signals, load_signals
from .tables import list_table


@check_arguments
def load_data(
    source: str | Path,
    *,
    image_size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    seed: Seed = 0,
    on_unreadable: OnUnreadable = "raise",
    layout: Layout | None = None,
    dtype: Dtype | None = None,
    pixel_range: tuple[float, float] | None = None,
    ignore: int | None = None,
    length: int | None = None,
    sample_rate: int | None = None,
) -> ImageData:
    """Loads a dataset, and splits it if it is not split yet: 70 % train, 10 % validation, 20 % test, by class.

    Args:
        source: One of

            - `"digits"`: scikit-learn's 1,797 handwritten digits, 8x8;
            - `"digit-scenes"`: several of these digits on photographs, with masks for a segmentation;
              `"digit-scenes:multi_label"`, `"digit-scenes:count"`, `"digit-scenes:detection"`,
              `"digit-scenes:counting"` and `"digit-scenes:all"` have other targets;
            - `"digit-points"`: such digits with their outermost points, keypoints;
            - `"digit-strings"`: one to eight of these digits on a line, to be read as a text;
            - `"digit-defects"`: fours of these digits, in the test and the validation also with scratches, blobs and
              gaps, to detect anomalies;
            - a folder with one subfolder of images for each class, or with train, val and test folders of these, in
              common variants of these names: that split is kept; a missing val takes 10 % of the train images, a
              missing test 20 %. Or with images and masks, as `pocketzoo.training.data.paired_folders` describes; or
              with good images and such with defects, as `pocketzoo.training.data.defect_folders` does.
              `interpretation` says how a folder was read;
            - a CSV file with the path of each image and its class, labels, numbers or mask, and optionally its split:
              `pocketzoo.training.data.tables` describes its columns;
            - images with boxes: a folder in the form of Pascal VOC or YOLO, or a CSV file, as
              `pocketzoo.training.data.box_files` describes;
            - images with boxes or keypoints in a COCO `.json` file, as `pocketzoo.training.data.coco_files` describes;
            - a folder of TFRecord shards from `pocketzoo shards`;
            - `"keras:mnist"`, `"keras:fashion_mnist"`, `"keras:cifar10"` or `"keras:cifar100"`: that of
              `keras.datasets`, in its published splits; training images that are in the test, too, are left out;
            - a folder of IDX files, `train-images-idx3-ubyte.gz` and so on, or one of their files of images;
            - `"tfds:NAME"`: a classification of tensorflow-datasets, if that is installed;
            - signals, as `load_signals` describes: folders of .wav, .npy and .csv files, tables and .npz files.
        image_size: Side, or (height, width), to resize images to; by default 32 for digits and defects on them, 64 for
            points on them and scenes, (32, 128) for strings, that of the images in IDX files and data sets of Keras,
            and 224 for files.
        channels: 1 (gray), 3 (RGB), or the number of bands of TIFF files; by default 3 for scenes, 1 for other
            digits, those of IDX files and data sets of Keras, the bands of files with 16 bits, floats or more than
            three bands, and 3 for everything else.
        seed: Seed for the split.
        on_unreadable: Whether an image that cannot be read, a mask that does not belong to its image, or an image of
            which a copy is in another class, is an error or is skipped (and listed in `skipped`).
        layout: What the subfolders of a folder are, where that is ambiguous or recognized wrongly: `"classes"`,
            `"splits"` (with class folders), `"masks"` (images and their masks), `"pairs"` (images, and pictures to
            be made of them), or `"defects"` (good images and such with defects, as in MVTec AD).
        dtype: `"uint8"`, `"uint16"` or `"float32"`; by default values stay as they are stored if all files agree, and
            16 bits among 8-bit files are reduced.
        pixel_range: Lowest and highest value that pixels of uint16 or float32 may have; inferred by default, which
            `interpretation` says.
        ignore: Label of the pixels of masks that have no class, often 255: they count in no loss and no metric.
        length: Samples of each signal, as in `load_signals`.
        sample_rate: Samples per second of each signal, as in `load_signals`.

    Raises:
        InputError: There is no such source, or it has no images, a single class, a class without images, an unreadable
            image, or the same image in two splits; or it is ambiguous what the folders are.
    """
    if on_unreadable not in ("raise", "skip"):
        raise InputError(f"on_unreadable is {on_unreadable!r}; allowed are 'raise' and 'skip'.")
    if has_signals(source):
        stated = {"image_size": image_size, "dtype": dtype, "ignore": ignore, "layout": layout}
        for argument, value in stated.items():
            if value is not None:
                raise InputError(f"{argument} is {value!r}, but {source} has signals; leave it out.")
        options: dict[str, Any] = {"channels": channels, "seed": seed, "value_range": pixel_range}
        return load_signals(source, length=length, sample_rate=sample_rate, **options)
    if length is not None or sample_rate is not None:
        raise InputError(f"length and sample_rate are of signals, but {source} has images; leave them out.")
    _check_applies(source, layout, ignore)
    sides = None if image_size is None else _sides(image_size)
    if is_built_in(source):
        values: dict[str, Any] = {"dtype": dtype, "pixel_range": pixel_range}
        return load_built_in(str(source), sides=sides, channels=channels, seed=seed, **values)
    if channels is not None and channels < 1:
        raise InputError(f"channels is {channels}; it takes 1 (gray), 3 (RGB), or the number of bands of the files.")
    listing = list_source(source, layout).with_ignore(ignore)
    height, width, bands = listing.image_shape or (224, 224, None)
    return read_listing(
        listing,
        sides or (height, width),
        channels or bands,
        seed=seed,
        on_unreadable=on_unreadable,
        dtype=dtype,
        pixel_range=pixel_range,
    )


def list_source(source: str | Path, layout: Layout | None = None) -> Listing:
    """Return the contents of a folder, table, shards, IDX files or a published data set, before an image is decoded.

    Raises:
        InputError: There is no such source, it is invalid, or it is no folder that a layout may be stated for.
    """
    _check_applies(source, layout)
    name, _, dataset = str(source).partition(":")
    if name == "tfds":
        from .tfds import list_tfds  # imports TensorFlow

        return list_tfds(dataset)
    if name == "keras":
        from .keras_datasets import list_keras

        return list_keras(dataset)
    path = Path(source)
    if _is_shards(path):
        from .shards import list_shards  # imports TensorFlow

        return list_shards(path)
    if layout is None and is_idx(path):
        return list_idx(path)
    if layout is None and path.is_dir() and (read := boxes_layout(path)):
        return read(path)
    if is_coco(path):
        return list_coco(path)
    if path.is_dir():
        return list_folder(path, layout)
    if path.is_file() and path.suffix.lower() == ".csv":
        return list_table(path)
    raise InputError(
        f"data {str(source)!r} is neither a folder, a .csv or IDX file, 'keras:NAME' or 'tfds:NAME', nor one of "
        f"{', '.join(map(repr, BUILT_IN))}."
    )


def check_source(source: str | Path, *, layout: Layout | None = None, ignore: int | None = None) -> None:
    """Raise the errors of `load_data` that show before an image is decoded, without TensorFlow, which takes seconds.

    Shards and tensorflow-datasets are not looked into, as that takes TensorFlow; neither are data sets of Keras, which
    may have to be downloaded, beyond their names.
    """
    _check_applies(source, layout, ignore)
    name, _, targets = str(source).partition(":")
    if is_built_in(source):
        check_built_in(str(source))
    elif name == "keras":
        from .keras_datasets import check_keras_name

        check_keras_name(targets)
    elif not takes_tensorflow(source) and not has_signals(source):
        list_source(source, layout).with_ignore(ignore)


def takes_tensorflow(source: str | Path) -> bool:
    """Return whether `load_data` imports TensorFlow to read a source."""
    return str(source).startswith("tfds:") or _is_shards(source)


def _is_shards(source: str | Path) -> bool:
    return (Path(source) / "shards.json").is_file()


def _check_applies(source: str | Path, layout: Layout | None, ignore: int | None = None) -> None:
    """Raise InputError where a layout or a label of pixels without a class has no effect on a source."""
    if layout is not None and (not Path(source).is_dir() or _is_shards(source)):
        raise InputError(f"layout is {layout!r}, but {str(source)!r} is no folder of images.")
    if ignore is not None and is_built_in(source):
        raise InputError(f"ignore is {ignore}, but every pixel of the masks of {source} has a class; leave it out.")


def _sides(image_size: int | tuple[int, int]) -> tuple[int, int]:
    try:
        height, width = map(index, (image_size, image_size) if np.isscalar(image_size) else image_size)
    except (TypeError, ValueError):
        height = width = 0
    if min(height, width) < 1:
        raise InputError(f"image_size is {image_size!r}; it takes pixels, 1 or more: a side, or (height, width).")
    return height, width
