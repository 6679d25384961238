"""Folders of images beside folders of targets in files, in the arrangements of common datasets: masks, or pictures.

`images/` beside `masks/` or `targets/`; these in folders of the splits (`train/images`, `train/masks`), or around them
(`images/train`, `masks/train`, as in ADE20K and Cityscapes); `train/` beside `trainannot/`, as in CamVid; and
`JPEGImages/` beside `SegmentationClass/`, as in Pascal VOC. A mask has the name of its image, or differs from it by
what is common to all images and to all masks: `a_mask.png` belongs to `a.jpg`. What is a mask here may be any target in
a file: which task it is of depends on the layout that is stated.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from ...core.encoded_images import load_image
from ...core.errors import InputError
from ...core.input_files import read_text
from ...tasks.mask_files import read_class_names
from ...tasks.task import Task
from ...zoo.image_files import read_bytes
from ...zoo.image_sources import describe_other_files, image_files, sub_folders
from .files import Paths
from .folder_names import NO_WORDS, FolderName, Kind, parse_folder_name, split_names, split_of_name
from .listing import Listing, Lost, Target

LABEL_FILES = ("labels.txt", "classes.txt", "codes.txt")
"""Files beside the folders that name the classes, one a line."""
SAMPLED = 5
"""Pairs of files that are opened to see whether one folder holds masks."""
MOST_COLORS = 64
"""Colors of an image that may be a mask; a photo has more."""
HOW_TO_STATE = (
    "set layout='masks' (--layout masks) if they are images and their masks, 'pairs' if images and pictures to be made "
    "of them, 'classes' if classes"
)


@dataclass(frozen=True)
class PairedFolders:
    """Where the images of a split and their masks are."""

    images: Path
    masks: Path


def find_paired_folders(folder: Path, words: Mapping[str, Kind] = NO_WORDS) -> dict[str, PairedFolders]:
    """Return the folders of images and masks by split, `""` where there are no splits; empty if there are none.

    Only names are considered.

    Args:
        folder: The folder.
        words: Further words that name images or masks, as `parse_folder_name` takes them.

    Raises:
        InputError: Several folders may hold the images or the masks.
    """
    names = {entry: parse_folder_name(entry.name, words) for entry in sub_folders(folder)}
    found: dict[str, PairedFolders] = {}
    for split in sorted({meaning.split or "" for meaning in names.values()}):
        of_split = {entry: meaning for entry, meaning in names.items() if (meaning.split or "") == split}
        plain = [entry for entry, meaning in of_split.items() if split and meaning == FolderName(split)]
        masks = _only([entry for entry, meaning in of_split.items() if meaning.kind == "masks"], names)
        images = _only([entry for entry, meaning in of_split.items() if meaning.kind == "images"] or plain, names)
        if images and masks:
            found[split] = PairedFolders(images, masks)
    if found.keys() == {""}:
        return _inner_splits(found[""]) or found
    if found:
        found.pop("", None)
        return found
    splits = split_names(entry.name for entry in names)
    inside = {split: find_paired_folders(folder / name, words) for name, split in splits.items()}
    return {split: pair[""] for split, pair in inside.items() if pair.keys() == {""}}


def _only(folders: list[Path], names: dict[Path, FolderName]) -> Path | None:
    """Return the folder that has images and the fewest unknown words: `SegmentationClass`, not `SegmentationObject`."""
    folders = [entry for entry in folders if image_files(entry)] if len(folders) > 1 else folders
    if not folders:
        return None
    fewest = min(len(names[entry].rest) for entry in folders)
    best = [entry for entry in folders if len(names[entry].rest) == fewest]
    if len(best) > 1:
        raise InputError(
            f"{best[0].parent} has {' and '.join(entry.name for entry in best)}, which may both hold the same half of "
            "images and masks; move one of them elsewhere, or list the files in a CSV file."
        )
    return best[0]


def _inner_splits(pair: PairedFolders) -> dict[str, PairedFolders]:
    """Return the folders of splits inside both folders; empty if these are not split."""
    images, masks = (
        {split: part / name for name, split in split_names(entry.name for entry in sub_folders(part)).items()}
        for part in (pair.images, pair.masks)
    )
    return {split: PairedFolders(images[split], masks[split]) for split in images if split in masks}


def find_unnamed_pair(folder: Path) -> PairedFolders | None:
    """Return two subfolders of which one holds masks of the images in the other, whatever they are called.

    They have files of the same names and sizes, and those of one folder have few colors, or another suffix.
    """
    folders = sub_folders(folder)
    if len(folders) > 4:
        return None
    files = {entry: {path.stem: path for path in image_files(entry)} for entry in folders}
    for first, second in combinations(folders, 2):
        shared = sorted(files[first].keys() & files[second].keys())
        if not shared or 2 * len(shared) < min(len(files[first]), len(files[second])):
            continue
        sample = [(files[first][stem], files[second][stem]) for stem in shared[:: -(-len(shared) // SAMPLED)]]
        ordered = _images_first(sample)
        if ordered is not None:
            return PairedFolders(first, second) if ordered else PairedFolders(second, first)
    return None


def _images_first(pairs: Sequence[tuple[Path, Path]]) -> bool | None:
    """Return whether the first or the second file of each pair is the image; None if none is the other's mask."""
    try:
        sides = [[_size_and_colors(path) for path in pair] for pair in pairs]
    except InputError:
        return None
    if any(first[0] != second[0] for first, second in sides):
        return None
    first, second = (np.median([pair[side][1] for pair in sides]) for side in (0, 1))
    if min(first, second) <= MOST_COLORS and 4 * min(first, second) <= max(first, second):
        return bool(first > second)
    suffixes = [{pair[side].suffix.lower() for pair in pairs} for side in (0, 1)]
    return None if suffixes[0] & suffixes[1] else ".png" not in suffixes[0]


def _size_and_colors(path: Path) -> tuple[tuple[int, int], int]:
    image = load_image(read_bytes(path), path)
    middle = image.crop((image.width // 4, image.height // 4, image.width, image.height))
    pixels = np.asarray(middle).reshape(middle.width * middle.height, -1)
    return image.size, len(np.unique(pixels, axis=0))


def list_pairs(folder: Path, found: dict[str, PairedFolders], task: Task) -> Listing:
    """Return the images in `found` and their targets, which are files.

    Class names of masks are in a `labels.txt` (or `classes.txt`, `codes.txt`) in the folder; without it the classes are
    the values that the masks have.

    Args:
        folder: The folder.
        found: Folders of images and targets by split.
        task: Task of the targets.

    Raises:
        InputError: No image has a mask, or an image has several.
    """
    found = {split or "train": pair for split, pair in found.items()}
    rows: list[tuple[Path, Path, str]] = []
    lost: list[Lost] = []
    for split, pair in found.items():
        pairs, missing = _paired(pair, task)
        rows += [(image, mask, split) for image, mask in pairs]
        lost += [Lost(str(path), split, InputError(reason)) for path, reason in missing.items()]
    lists = _voc_lists(folder) if len(found) == 1 else {}
    if lists:
        rows = [(image, mask, lists[image.stem]) for image, mask, _ in rows if image.stem in lists]
        lost = [missing for missing in lost if Path(missing.name).stem in lists]
    images, masks, splits = zip(*rows, strict=True)
    files = LABEL_FILES if task.class_indices else ()
    names = next((folder / name for name in files if (folder / name).is_file()), None)
    target = Target(task.name, read_class_names(names) if names else None, Paths(masks))
    text = _interpretation(folder, found, lists, task)
    return Listing(str(folder), Paths(images), target, np.array(splits), tuple(lost), text)


def _interpretation(folder: Path, found: dict[str, PairedFolders], lists: dict[str, str], task: Task) -> str:
    places = [
        f"{pair.images.relative_to(folder)} with {task.column}s in {pair.masks.relative_to(folder)}"
        + (f" ({split})" if len(found) > 1 else "")
        for split, pair in found.items()
    ]
    by = "; splits from ImageSets/Segmentation" if lists else "" if len(found) > 1 else "; not split"
    used = [part for pair in found.values() for part in (pair.images, pair.masks)]
    unused = [entry for entry in sub_folders(folder) if not any(part.is_relative_to(entry) for part in used)]
    left_out = ", ".join(entry.name for entry in unused if image_files(entry))
    by += f"; {left_out} is left out" if left_out else ""
    name = task.name.replace("_", "-")
    return f"{folder} is read as {'an' if name[0] in 'aeiou' else 'a'} {name}: images in {', '.join(places)}{by}."


def _paired(pair: PairedFolders, task: Task) -> tuple[list[tuple[Path, Path]], dict[Path, str]]:
    """Return each image with its mask, and what is wrong with the files that have no partner."""
    images, masks = image_files(pair.images), image_files(pair.masks)
    if not images or not masks:
        empty = pair.masks if images else pair.images
        raise InputError(f"{empty} has no images{describe_other_files(empty)}; {HOW_TO_STATE}.")
    of_images, of_masks = max(
        (
            (_keys(images, pair.images, whole_path, strip), _keys(masks, pair.masks, whole_path, strip))
            for strip in (False, True)
            for whole_path in (True, False)
        ),
        key=lambda keys: len(set(keys[0]) & set(keys[1])),
    )
    by_key: dict[str, Path] = {}
    for key, path in zip(of_masks, masks, strict=True):
        if by_key.setdefault(key, path) is not path and key in of_images:
            raise InputError(
                f"{by_key[key]} and {path} may both be the {task.column} of {key!r}; move one of them elsewhere, or "
                "list the files in a CSV file."
            )
    pairs = [(path, by_key[key]) for key, path in zip(of_images, images, strict=True) if key in by_key]
    if not pairs:
        raise InputError(
            f"{pair.images} and {pair.masks} have no file names in common, so the {task.column}s of the images are "
            f"unknown; {HOW_TO_STATE}, or list the files in a CSV file."
        )
    with_mask, with_image = ({path for pair in pairs for path in [pair[side]]} for side in (0, 1))
    missing = {path: f"{path} has no {task.column} in {pair.masks}." for path in images if path not in with_mask}
    return pairs, missing | {
        path: f"{path} is the {task.column} of no image in {pair.images}." for path in masks if path not in with_image
    }


def _keys(files: list[Path], folder: Path, whole_path: bool, strip: bool) -> list[str]:
    """Return what identifies each file: its path in the folder or its name, without suffix and common affixes."""
    stems = [path.stem for path in files]
    if strip and len(stems) > 1:
        start = len(re.sub(r"[^\W_]+$", "", _common_start(stems)))
        end = len(re.sub(r"^[^\W_]+", "", _common_start([stem[start:][::-1] for stem in stems])[::-1]))
        stems = [stem[start : len(stem) - end] for stem in stems]
    if not whole_path:
        return stems
    return [str(path.parent.relative_to(folder) / stem) for path, stem in zip(files, stems, strict=True)]


def _common_start(texts: list[str]) -> str:
    first, last = min(texts), max(texts)
    return first[: next((n for n, pair in enumerate(zip(first, last, strict=False)) if len(set(pair)) > 1), len(first))]


def _voc_lists(folder: Path) -> dict[str, str]:
    """Return the split of each image that Pascal VOC's lists name, by its name without suffix; empty without lists."""
    lists = sorted((folder / "ImageSets" / "Segmentation").glob("*.txt"))
    splits = {path: split_of_name(path.stem) for path in lists if path.stem != "trainval"}
    return {name: split for path, split in splits.items() if split for name in read_text(path).split()}
