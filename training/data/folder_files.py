"""The image files and subfolders of a folder, without those of the system."""

import os
from pathlib import Path

from .folder_names import is_hidden

IMAGE_SUFFIXES = {
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".webp", ".gif", ".tif", ".tiff", ".avif"),
    *(".avifs", ".heic", ".heif", ".hif", ".dds", ".tga", ".ico", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k"),
    *(".jpx", ".jxl"),
}
"""Suffixes of images, readable here or not; other files in a class folder are ignored."""


def sub_folders(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted."""
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not is_hidden(entry.name))


def image_files(folder: Path) -> list[Path]:
    """Return the images in a folder and all its subfolders, sorted."""
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not is_hidden(name)]
        found += [
            Path(parent, name)
            for name in files
            if os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES and not is_hidden(name)
        ]
    return sorted(found)


def has_images(folder: Path) -> bool:
    """Return whether there are images directly in a folder."""
    return any(
        entry.suffix.lower() in IMAGE_SUFFIXES and not is_hidden(entry.name) and entry.is_file()
        for entry in folder.iterdir()
    )


def describe_other_files(folder: Path) -> str:
    """Return the suffixes of the files in a folder without images, for a message; empty if it has no files."""
    suffixes = sorted({path.suffix.lower() or path.name for path in folder.rglob("*") if path.is_file()})
    return f" (it has {', '.join(suffixes[:5])} files)" if suffixes else ""
