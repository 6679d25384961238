"""Folders of images: one subfolder for each class, in train, validation and test folders or not."""

from pathlib import Path

import numpy as np

from ...core.errors import InputError
from .files import Paths
from .listing import Listing, Target
from .splitting import SPLIT_NAMES

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".avif", ".heic", ".heif"}
"""Suffixes of images, readable here or not; other files in a class folder are ignored."""


def list_folder(folder: Path) -> Listing:
    """Return the images of class folders: `folder/CLASS/*.jpg`, or `folder/SPLIT/CLASS/*.jpg` if already split.

    Splits are named train, val (or valid, validation) and test.

    Raises:
        InputError: There are fewer than two classes, a class without images, or no train beside other splits.
    """
    by_split = _split_folders(folder) or {"train": folder}
    classes = {split: _sub_folders(part) for split, part in by_split.items()}
    for split, found in classes.items():
        if len(found) < 2:
            raise InputError(
                f"{by_split[split]} has {len(found)} class folders; it takes one folder of images for each of 2 or "
                "more classes."
            )
    names = tuple(sorted({entry.name for found in classes.values() for entry in found}))
    index = {name: number for number, name in enumerate(names)}
    rows = [
        (path, index[entry.name], split)
        for split, found in classes.items()
        for entry in found
        for path in _image_files(entry)
    ]
    images, labels, splits = zip(*rows, strict=True)
    target = Target("classification", names, np.array(labels, "int32"))
    return Listing(str(folder), Paths(images), target, np.array(splits))


def _split_folders(folder: Path) -> dict[str, Path]:
    """Return the folder of each split; empty if the subfolders are classes.

    A class may be named "train": it is a split only beside another split, or alone.
    """
    folders = _sub_folders(folder)
    splits = [entry for entry in folders if entry.name.lower() in SPLIT_NAMES]
    by_split = {SPLIT_NAMES[entry.name.lower()]: entry for entry in splits}
    if not splits or (len(splits) < len(folders) and ("train" not in by_split or len(by_split) == 1)):
        return {}
    if "train" not in by_split:
        raise InputError(f"{folder} has no train folder beside {', '.join(entry.name for entry in splits)}.")
    if len(splits) < len(folders):
        others = ", ".join(entry.name for entry in folders if entry not in splits)
        raise InputError(f"{folder} has {others} beside the folders of the splits; move that elsewhere.")
    if len(by_split) < len(splits):
        names = ", ".join(entry.name for entry in splits)
        raise InputError(f"{folder} has two folders for one split, {names}.")
    return by_split


def _sub_folders(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != ".")


def _image_files(folder: Path) -> list[Path]:
    found = (path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    # Hidden files and folders are the system's: macOS' "._photo.jpg", ".ipynb_checkpoints", ".thumbnails".
    images = sorted(path for path in found if not any(part[0] == "." for part in path.relative_to(folder).parts))
    if not images:
        raise InputError(f"{folder} has no images; every class folder takes some.")
    return images
