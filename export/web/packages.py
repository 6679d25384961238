"""The npm packages with which the page runs the files of a bundle: which of their files, from where."""

import base64
import hashlib
import json
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from ...core.errors import InputError

WEB = Path(__file__).parent
PACKAGES: dict[str, dict[str, Any]] = json.loads((WEB / "packages.json").read_text(encoding="utf-8"))
"""By name: the `version` that the page was written for, the `license`, the ending of the files that it `runs`, and the
hashes of the `files` that the page loads, as browsers take them."""
VERSIONS: dict[str, str] = {name: package["version"] for name, package in PACKAGES.items()}
INSTALL = f"npm install {' '.join(f'{name}@{version}' for name, version in VERSIONS.items())}"
FOLDER = "packages"
"""Folder in a bundle. `node_modules` would be left out by programs that publish pages."""


def packages_for(suffixes: Collection[str]) -> dict[str, dict[str, Any]]:
    """Those of `PACKAGES` that run files with these endings."""
    return {name: package for name, package in PACKAGES.items() if package["runs"] in suffixes}


def check_vendor(source: Path, targets: Collection[str]) -> None:
    """Raise InputError where no target has a page, or `source` does not have its packages as they should be."""
    if "web" not in targets:
        raise InputError(
            f"vendor copies the packages of the web page, which target web has, not {', '.join(targets)}; add web, or "
            "leave it out."
        )
    check_packages(source)


def check_packages(source: Path) -> Path:
    """Return the folder `node_modules` at or in `source`, with all packages as they should be.

    Raises:
        InputError: A file is missing, or another than that of the version.
    """
    modules = source / "node_modules" if (source / "node_modules").is_dir() else source
    for name, package in PACKAGES.items():
        wrong = next((file for file, sha in package["files"].items() if _integrity(modules / name / file) != sha), None)
        if wrong is not None:
            raise InputError(
                f"{source} does not have {wrong} of {name} {package['version']}, which the web page needs: run "
                f"`{INSTALL} --prefix {source.parent if source.name == 'node_modules' else source}`."
            )
    return modules


def _integrity(file: Path) -> str | None:
    if not file.is_file():
        return None
    with file.open("rb") as content:
        return f"sha384-{base64.b64encode(hashlib.file_digest(content, 'sha384').digest()).decode()}"


def copy_packages(source: Path, bundle: Path, suffixes: Iterable[str]) -> None:
    """Copy from `source` into a bundle what the page loads to run files with these endings, and the licenses.

    Raises:
        InputError: As `check_packages`.
    """
    modules = check_packages(source)
    for name, package in packages_for(set(suffixes)).items():
        folder = bundle / FOLDER / name
        for file in package["files"]:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(modules / name / file, folder / file)
        shutil.copyfile(WEB / "licenses" / f"{package['license']}.txt", folder / "LICENSE.txt")
