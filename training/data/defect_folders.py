"""Folders of good images and of images with defects, as in MVTec AD.

    train/good/000.png                          # good images alone
    test/good/000.png                           # good images, and a folder for each kind of defect
    test/scratch/000.png
    ground_truth/scratch/000_mask.png           # white where the defect is; optional
    validation/good/000.png                     # optional, as test; its masks are in ground_truth, too

A mask has the name of its image, or that and `_mask`. Masks of a further split may be in a folder of it, as in
`ground_truth/validation/scratch`.
"""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np

from ...core.encoded_images import read_values
from ...core.errors import InputError
from ...tasks.anomaly import GOOD, Anomaly
from ...zoo.image_files import read_bytes
from ...zoo.image_sources import describe_other_files, image_files, sub_folders
from .files import Paths
from .folder_names import split_names
from .listing import Listing, Target

TRUTH = "ground_truth"
SUFFIX = "_mask"
MOST_KINDS = 255
"""Kinds of defects that a mask in 8 bits can tell apart."""


class DefectMasks:
    """Targets of the task `anomaly` in files: masks of one kind of defect each, or none.

    Args:
        paths: Mask of each image; None where it has none.
        kinds: Kind of the defect in each image; 0 for good ones.
        names: Path of each image.
    """

    def __init__(self, paths: Sequence[Path | None], kinds: np.ndarray, names: Sequence[Path]):
        self._paths = list(paths)
        self._kinds = kinds
        self._names = list(names)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._kinds)

    def name(self, row: int) -> str:
        """Return the path of a mask, or of the image that has none."""
        return str(self._paths[row] or self._names[row])

    def read(self, row: int) -> bytes:
        """Return the content of a file of the task, with the index of the kind where the mask is not black.

        Raises:
            InputError: The mask cannot be read, or is black.
        """
        path, kind = self._paths[row], self._kinds[row]
        if path is None:
            return Anomaly().encode_file(np.full((1, 1), -kind))
        marked = read_values(read_bytes(path), path).any(axis=-1)
        if marked.shape == (1, 1):  # the form of a defect without a known place
            raise InputError(f"{path} has 1x1 pixels, which tell no place; a mask has those of its image.")
        if not marked.any():
            raise InputError(f"{path} is black, but it is the mask of an image with a defect, {self._names[row]}.")
        return Anomaly().encode_file(kind * marked)

    def open(self, row: int) -> IO[bytes]:
        """Open a file; errors as of `read`."""
        return BytesIO(self.read(row))

    def at(self, rows: np.ndarray) -> "DefectMasks":
        """Return the files of these rows."""
        paths, names = ([each[row] for row in rows] for each in (self._paths, self._names))
        return DefectMasks(paths, self._kinds[rows], names)


def is_defects_folder(folder: Path) -> bool:
    """Return whether a folder has good images to train on, beside masks of defects or a test with more folders."""
    train, truth = folder / "train", folder / TRUTH
    if not (train / GOOD).is_dir():
        return False
    return truth.is_dir() or ([part.name for part in sub_folders(train)] == [GOOD] and bool(_kinds(folder)))


def list_defects(folder: Path) -> Listing:
    """Return the images of a folder and the masks of their defects, as this module describes it.

    Raises:
        InputError: Training has other images than good ones, there are no good ones, or a mask belongs to no image with
            a defect.
    """
    splits = {split: folder / name for name, split in split_names(part.name for part in sub_folders(folder)).items()}
    if "train" not in splits or not (splits["train"] / GOOD).is_dir():
        raise InputError(f"{folder} has no train/{GOOD}, the folder of good images to learn from.")
    others = [part.name for part in sub_folders(splits["train"]) if part.name != GOOD]
    if others:
        raise InputError(
            f"{splits['train']} has the folder {others[0]!r} beside {GOOD!r}; detectors learn from good images alone, "
            "so move images with defects to the test."
        )
    labels = (GOOD, *_kinds(folder))
    if len(labels) > MOST_KINDS + 1:
        raise InputError(f"{folder} has {len(labels) - 1} kinds of defects; it takes {MOST_KINDS} at most.")
    images, masks, kinds, of_split = list[Path](), list[Path | None](), list[int](), list[str]()
    for split, part in splits.items():
        own_truth = folder / TRUTH / part.name
        truth = own_truth if own_truth.is_dir() else folder / TRUTH
        for entry in sub_folders(part):
            own = image_files(entry)
            if not own:
                raise InputError(f"{entry} has no images{describe_other_files(entry)}.")
            images += own
            masks += _masks_of(own, truth / entry.name)
            kinds += [labels.index(entry.name)] * len(own)
            of_split += [split] * len(own)
    target = Target(Anomaly.name, labels, DefectMasks(masks, np.array(kinds), images))
    found = ", ".join(labels[1:]) or "no defects"
    masked = "with masks" if any(masks) else "without masks"
    text = f"{folder} is read as anomalies: good images in train, defects elsewhere ({found}), {masked}."
    return Listing(str(folder), Paths(images), target, np.array(of_split), interpretation=text)


def _kinds(folder: Path) -> list[str]:
    """Return the names of the kinds of defects, in alphabetical order."""
    splits = split_names(part.name for part in sub_folders(folder))
    parts = [folder / name for name, split in splits.items() if split != "train"]
    return sorted({entry.name for part in parts for entry in sub_folders(part)} - {GOOD})


def _masks_of(images: Sequence[Path], folder: Path) -> list[Path | None]:
    """Return the mask of each image in a folder; None where there is no such folder.

    Raises:
        InputError: The images are good, an image has no mask, or a mask no image.
    """
    if not folder.is_dir():
        return [None] * len(images)
    by_stem = {path.stem: path for path in image_files(folder)}
    if folder.name == GOOD and by_stem:
        raise InputError(f"{next(iter(by_stem.values()))} is the mask of a good image, which has no defect; remove it.")
    masks = list[Path | None]()
    for image in images:
        mask = by_stem.pop(f"{image.stem}{SUFFIX}", None) or by_stem.pop(image.stem, None)
        if mask is None and folder.name != GOOD:
            raise InputError(f"{image} has no mask in {folder}; it takes {image.stem}{SUFFIX}.png there.")
        masks.append(mask)
    if by_stem:
        raise InputError(f"{next(iter(by_stem.values()))} is the mask of no image.")
    return masks
