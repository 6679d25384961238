"""What speaks against reading folders as classes, and what is worth saying where they are read so."""

from collections.abc import Iterable
from pathlib import Path

from ...core.errors import InputError
from ...zoo.image_sources import count_images, has_images, image_files, sub_folders
from .folder_names import parse_folder_name, split_names

Classes = dict[str, dict[str, Path]]
"""The folder of each class by its name and by split."""


def refuse_doubtful_classes(folder: Path, classes: Classes) -> None:
    """Raise InputError where folders are hardly classes: two of nearly one name, images and masks, or the whole again.

    Args:
        folder: The folder of the dataset, for messages.
        classes: Its classes.
    """
    layout = "splits" if len(classes) > 1 else "classes"
    stated = f"set layout={layout!r} (--layout {layout})"
    names = sorted({name for of_split in classes.values() for name in of_split})
    known: dict[str, str] = {}
    for name in names:
        other = known.setdefault(" ".join(name.casefold().split()), name)
        if other != name and len(name) > 1:
            raise InputError(
                f"{folder} has the class folders {other!r} and {name!r}, which differ in case or spaces only; give one "
                f"class one name, or {stated} if they are two."
            )
    for entry in _folders(classes):
        inside = [part for part in sub_folders(entry) if image_files(part)]
        kinds = {parse_folder_name(part.name).kind: part for part in inside}
        if "masks" in kinds and ("images" in kinds or has_images(entry)):
            raise InputError(
                f"{kinds['masks']} seems to hold masks of the images in {entry.name}, which are no images of that "
                f"class; move them elsewhere, or {stated} to read them as images too."
            )
        again = sorted({part.name for part in inside} & set(names))
        if len(again) > 1:
            raise InputError(
                f"{entry} has the folders {', '.join(again[:5])}, and so has {entry.parent}; keep the classes in one "
                f"of them, or {stated} if {entry.name} is a class too."
            )


def refuse_nested_classes(folder: Path) -> None:
    """Raise InputError where subfolders that would be classes may be splits of unknown names: they hold classes."""
    nested: dict[Path, set[str]] = {}
    for entry in sub_folders(folder):
        inside = {part.name for part in sub_folders(entry) if image_files(part)}
        if len(inside) < 2 or has_images(entry):
            continue
        other = next((known for known, names in nested.items() if len(names & inside) > 1), None)
        if other is not None or split_names([entry.name]):
            both = entry.name if other is None else f"{other.name} and {entry.name}"
            raise InputError(
                f"{folder}: it is ambiguous whether {both} are classes or splits, because they have the folders "
                f"{', '.join(sorted(inside)[:5])}. Name folders of splits train, val and test, and leave nothing else "
                "beside them; or set layout='classes' (--layout classes) to read each as one class."
            )
        nested[entry] = inside


def refuse_classes_inside(folder: Path, classes: Classes) -> None:
    """Raise InputError where folders of splits inside of what would be classes hold class folders: those of folds."""
    for split, of_split in classes.items():
        for name, part in of_split.items():
            inside = [entry.name for entry in sub_folders(part) if image_files(entry)]
            if len(inside) > 1 and not has_images(part):
                raise InputError(
                    f"{folder}: it is ambiguous whether {name} is a class, because its folder of {split} has the "
                    f"folders {', '.join(inside[:5])}; load {folder / name} if these are the classes, or set "
                    "layout='splits' (--layout splits) if they are not."
                )


def remarks_on_classes(folder: Path, classes: Classes) -> list[str]:
    """Return what a user may not expect: images that are left out, or in folders inside of a class; numbers' order."""
    remarks = []
    names = sorted({name for of_split in classes.values() for name in of_split})
    if all(name.isdecimal() for name in names) and names != sorted(names, key=int):
        remarks.append("the order of the classes is alphabetical, as in Keras, not that of the numbers")
    inside = sorted({part.name for entry in _folders(classes) for part in sub_folders(entry) if image_files(part)})
    if inside:
        shown = ", ".join(inside[:5]) + (", ..." if len(inside) > 5 else "")
        remarks.append(f"images in folders inside of a class ({shown}) are of that class")
    loose = sum(map(count_images, {folder, *(entry.parent for entry in _folders(classes))}))
    if loose:
        remarks.append(f"{loose} images beside the class folders are left out")
    return remarks


def _folders(classes: Classes) -> Iterable[Path]:
    return (entry for of_split in classes.values() for entry in of_split.values())
