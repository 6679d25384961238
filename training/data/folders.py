"""Folders of images: which arrangement they have, and their contents."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from ...core.errors import InputError
from ...tasks.registry import task_of_layout
from ...tasks.segmentation import Segmentation
from ...tasks.task import Task
from ...zoo.image_sources import describe_other_files, has_images, image_files, sub_folders
from .defect_folders import is_defects_folder, list_defects
from .doubtful_folders import refuse_classes_inside, refuse_doubtful_classes, refuse_nested_classes, remarks_on_classes
from .files import Paths
from .folder_names import parse_folder_name, split_names
from .listing import Listing, Target
from .paired_folders import HOW_TO_STATE, PairedFolders, find_paired_folders, find_unnamed_pair, list_pairs
from .splitting import SPLITS

Layout = Literal["classes", "splits", "masks", "pairs", "defects"]
"""`classes`: each subfolder is a class. `splits`: each is a split with class folders, or each is a class with folders
of the splits. `masks`: images and their masks, as `paired_folders` describes; `pairs`: images, and pictures to be made
of them; `defects`: good images and such with defects, as `defect_folders` describes."""
MASK_AFFIX = re.compile(
    r"[_\-. ](mask|masks|seg|segmentation|label|labels|gt|annotation|annotated)([_\-. ]?\d+)?$", re.I
)
"""End of the name of a mask in the folder of its image."""


def list_folder(folder: Path, layout: Layout | None = None) -> Listing:
    """Return the images of a folder and their classes or masks, and say in `interpretation` how it was read.

    Names of splits and of folders of masks are recognized in any case and common variants. A single folder in another
    one, as archives have it, is looked into.

    Args:
        folder: The folder.
        layout: What its subfolders are; None recognizes it.

    Raises:
        InputError: It is ambiguous what the subfolders are; there are fewer than two classes, no images, or no train
            beside other splits.
    """
    folder = _unwrapped(folder)
    if layout == "defects" or (layout is None and is_defects_folder(folder)):
        return list_defects(folder)
    stated = None if layout is None else task_of_layout(layout)
    if stated is not None:
        return list_pairs(folder, _stated_folders(folder, stated), stated)
    if layout is None:
        if pairs := find_paired_folders(folder):
            return list_pairs(folder, pairs, Segmentation())
        _refuse_unnamed_masks(folder)
    if layout == "classes":
        return _list_classes(folder, _unsplit(folder), "not split")
    splits = _split_folders(folder)
    if splits:
        inside = {split: _unwrapped(part, as_split=True) for split, part in splits.items()}
        for part in inside.values() if layout is None else ():
            _refuse_unnamed_masks(part)
        classes = {split: {entry.name: entry for entry in sub_folders(part)} for split, part in inside.items()}
        for split, found in classes.items():
            if len(found) < 2:
                raise InputError(
                    f"{inside[split]} has {len(found)} class folders; it takes one folder of images for each of 2 or "
                    f"more classes. If {', '.join(part.name for part in splits.values())} are classes themselves, set "
                    "layout='classes' (--layout classes)."
                )
        described = ", ".join(f"{split} in {part.relative_to(folder)}" for split, part in inside.items())
        if layout is None:
            refuse_doubtful_classes(folder, classes)
        return _list_classes(folder, classes, described)
    by_class = _splits_in_classes(folder)
    if by_class:
        if layout is None:
            refuse_doubtful_classes(folder, by_class)
            refuse_classes_inside(folder, by_class)
        return _list_classes(folder, by_class, "each class with folders of the splits")
    if layout == "splits":
        names = ", ".join(entry.name for entry in sub_folders(folder)) or "no folders"
        raise InputError(f"{folder} has {names}, of which none is named after a split, such as train, val and test.")
    refuse_doubtful_classes(folder, _unsplit(folder))
    refuse_nested_classes(folder)
    return _list_classes(folder, _unsplit(folder), "not split")


def _unsplit(folder: Path) -> dict[str, dict[str, Path]]:
    return {"train": {entry.name: entry for entry in sub_folders(folder)}}


def _list_classes(folder: Path, classes: dict[str, dict[str, Path]], described: str) -> Listing:
    """Return the images in `classes`, which has the folder of each class by its name and by split."""
    found = {split: sorted(of_split) for split, of_split in classes.items()}
    names = sorted({name for of_split in found.values() for name in of_split})
    if len(names) < 2:
        raise InputError(
            f"{folder} has {len(names)} class folders; it takes one folder of images for each of 2 or more classes."
        )
    index = {name: number for number, name in enumerate(names)}
    rows: list[tuple[Path, int, str]] = []
    empty: dict[str, str] = {}
    for split, of_split in found.items():
        for name in of_split:
            inside = image_files(classes[split][name])
            rows += [(path, index[name], split) for path in inside]
            if not inside:
                entry = classes[split][name]
                empty[str(entry)] = (
                    f"{entry} has no images{describe_other_files(entry)}; every class folder takes some."
                )
    if not rows:
        raise InputError(next(iter(empty.values())))
    images, labels, splits = zip(*rows, strict=True)
    printable = tuple(map(_printable, names))
    target = Target("classification", printable, np.array(labels, "int32"))
    shown = ", ".join(printable[:10]) + (", ..." if len(names) > 10 else "")
    remarks = "; ".join([described, *remarks_on_classes(folder, classes)])
    text = f"{folder} is read as a classification: {len(names)} class folders ({shown}); {remarks}."
    return Listing(str(folder), Paths(images), target, np.array(splits), interpretation=text, empty=empty)


def _printable(name: str) -> str:
    """Return the name of a class as valid Unicode: files of models, unlike file systems, take nothing else."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _split_folders(folder: Path) -> dict[str, Path]:
    """Return the folder of each split; empty if the subfolders are classes.

    A class may be named "train": it is a split only beside another split, or alone.
    """
    folders = [entry for entry in sub_folders(folder) if not _is_unlabeled(entry)]
    splits = split_names(entry.name for entry in folders)
    by_split = {split: folder / name for name, split in splits.items()}
    if not splits or (len(splits) < len(folders) and ("train" not in by_split or len(by_split) == 1)):
        return {}
    as_classes = "; if they are classes, set layout='classes' (--layout classes)."
    if "train" not in by_split:
        raise InputError(f"{folder} has no train folder beside {', '.join(splits)}{as_classes}")
    if len(splits) < len(folders):
        others = ", ".join(entry.name for entry in folders if entry.name not in splits)
        raise InputError(f"{folder} has {others} beside the folders of the splits; move that elsewhere{as_classes}")
    if len(by_split) < len(splits):
        raise InputError(f"{folder} has two folders for one split, {', '.join(splits)}{as_classes}")
    return by_split


def _is_unlabeled(folder: Path) -> bool:
    """Return whether a folder such as `seg_pred` has images without classes, which is left out beside splits."""
    return parse_folder_name(folder.name).unlabeled and not any(map(sub_folders, sub_folders(folder)))


def _splits_in_classes(folder: Path) -> dict[str, dict[str, Path]]:
    """Return the folder of each class by split where every class folder has folders of the splits; else empty."""
    folders = sub_folders(folder)
    inside = {entry.name: {} if has_images(entry) else _split_folders(entry) for entry in folders}
    split = [name for name, parts in inside.items() if len(parts) > 1]
    if not split:
        return {}
    if len(split) < len(folders):
        others = ", ".join(name for name in inside if name not in split)
        raise InputError(
            f"{folder}: {split[0]} has folders of splits and {others} has none; give every class the same, or set "
            "layout='classes' (--layout classes) to read all images in a folder as one class."
        )
    found = {part: {name: parts[part] for name, parts in inside.items() if part in parts} for part in SPLITS}
    return {part: of_split for part, of_split in found.items() if of_split}


def _unwrapped(folder: Path, *, as_split: bool = False) -> Path:
    """Return the only folder in a folder that has nothing else, down to one that has more: `archive/dataset/...`.

    Args:
        folder: The folder.
        as_split: Whether it is of a split, in which a single folder may be a class.
    """
    inside = sub_folders(folder)
    if len(inside) != 1 or has_images(folder) or not sub_folders(inside[0]):
        return folder
    if as_split and parse_folder_name(inside[0].name).rest not in ("", parse_folder_name(folder.name).rest):
        return folder
    return _unwrapped(inside[0], as_split=as_split)


def _stated_folders(folder: Path, task: Task) -> dict[str, PairedFolders]:
    """Return the folders of images and of the targets of a task, whose layout was stated."""
    if found := find_paired_folders(folder, task.folder_words):
        return found
    unnamed = find_unnamed_pair(folder) if task.class_indices else None
    if unnamed is None:
        names = ", ".join(entry.name for entry in sub_folders(folder)) or "no folders"
        raise InputError(
            f"{folder} has {names}; name the folder of the images 'images' and that of their {task.column}s "
            f"'{task.column}s', in each split if there are splits."
        )
    return {"": unnamed}


def _refuse_unnamed_masks(folder: Path) -> None:
    """Raise InputError where the subfolders seem to be images and masks, or have masks beside the images."""
    pair = find_unnamed_pair(folder)
    if pair is not None:
        raise InputError(
            f"{folder}: the files in {pair.masks.name} seem to be masks of those in {pair.images.name}, which have the "
            f"same names and sizes; {HOW_TO_STATE}."
        )
    for entry in sub_folders(folder):
        masks = _masks_beside_images([path.stem for path in image_files(entry)])
        if masks:
            raise InputError(
                f"{entry} has what seem to be masks beside their images, such as {masks[0]!r}; move them elsewhere, "
                "list images and masks in a CSV file, or set layout='classes' (--layout classes) to read all of them "
                "as images of the class."
            )


def _masks_beside_images(stems: Sequence[str]) -> list[str]:
    known = set(stems)
    return [stem for stem in stems if MASK_AFFIX.search(stem) and MASK_AFFIX.sub("", stem) in known]
