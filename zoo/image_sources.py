"""Images by path, folder, pattern or address: the files of the user, without those of the system."""

import glob
import os
from collections.abc import Iterable
from pathlib import Path

from ..core.errors import InputError

IMAGE_SUFFIXES = {
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".webp", ".gif", ".tif", ".tiff", ".avif"),
    *(".avifs", ".heic", ".heif", ".hif", ".dds", ".tga", ".ico", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k"),
    *(".jpx", ".jxl", ".npy"),
}
"""Suffixes of images, readable here or not; other files in a class folder are ignored."""
SYSTEM_FOLDERS = {"__macosx", "@eadir", "__pycache__", "$recycle.bin", "lost+found"}
"""Folders of operating systems and archives, in lower case; so are those whose name begins with a dot."""
ADDRESS = ("http://", "https://")
STANDARD_INPUT = "-"


def is_hidden(name: str) -> bool:
    """Return whether a file or folder belongs to the system: `.ipynb_checkpoints`, `._photo.jpg`, `__MACOSX`."""
    return name.startswith(".") or name.lower() in SYSTEM_FOLDERS


def is_address(source: str) -> bool:
    """Return whether it is an address on the web."""
    return source.startswith(ADDRESS)


def image_sources(sources: Iterable[str]) -> list[str]:
    """Return files, addresses and `-` for standard input, with the images in folders and those that match a pattern.

    Raises:
        InputError: A folder has no images, nothing matches a pattern, or standard input is named twice.
    """
    found: list[str] = []
    for source in sources:
        if is_address(source) or source == STANDARD_INPUT or Path(source).is_file():
            found.append(source)
        elif Path(source).is_dir():
            inside = image_files(Path(source))
            if not inside:
                raise InputError(f"{source} has no images{describe_other_files(Path(source))}.")
            found += map(str, inside)
        elif glob.has_magic(source):
            matches = sorted(path for path in glob.glob(source, recursive=True) if os.path.isfile(path))
            if not matches:
                raise InputError(f"no file matches {source!r}.")
            found += matches
        else:
            found.append(source)  # a missing file is an error of its own
    if found.count(STANDARD_INPUT) > 1:
        raise InputError("standard input (-) is one image; name it once.")
    return found


def sub_folders(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted."""
    with os.scandir(folder) as entries:  # which knows folders without a call of the system for each of 100,000 files
        return sorted(folder / entry.name for entry in entries if entry.is_dir() and not is_hidden(entry.name))


def image_files(folder: Path) -> list[Path]:
    """Return the images in a folder and all its subfolders, sorted; in links to folders too, unless they lead back."""
    found = []
    root, seen = Path(os.path.realpath(folder)), set[str]()
    for parent, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen or (real != str(root) and root.is_relative_to(real)):
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not is_hidden(name)]
        found += [os.path.join(parent, name) for name in filter(_has_image_name, files)]
    return [Path(path) for path in sorted(found, key=lambda path: path.split(os.sep))]  # as paths compare, but faster


def has_images(folder: Path) -> bool:
    """Return whether there are images directly in a folder."""
    with os.scandir(folder) as entries:
        return any(map(_is_image, entries))


def count_images(folder: Path) -> int:
    """Return the number of images directly in a folder."""
    with os.scandir(folder) as entries:
        return sum(map(_is_image, entries))


def _is_image(entry: os.DirEntry[str]) -> bool:
    return _has_image_name(entry.name) and entry.is_file()


def _has_image_name(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES and not is_hidden(name)


def describe_other_files(folder: Path) -> str:
    """Return the suffixes of the files in a folder without images, for a message; empty if it has no files."""
    suffixes = sorted({path.suffix.lower() or path.name for path in folder.rglob("*") if path.is_file()})
    return f" (it has {', '.join(suffixes[:5])} files)" if suffixes else ""
