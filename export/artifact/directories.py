"""Artifacts that are directories, SavedModels and Core ML packages: what bundles do otherwise than with files."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import InputError
from ...core.input_files import check_file
from ...core.limits import MODEL_BYTES


@dataclass(frozen=True)
class Layout:
    """Where in a directory what is."""

    graph: str
    """The file with the graph."""
    certificate: str
    """The file with the validation results, which no runtime reads."""
    metadata: str | None = None
    """The file with the metadata, where the graph does not hold it."""


SAVED_MODEL, CORE_ML = ".savedmodel", ".mlpackage"
LAYOUTS = {
    CORE_ML: Layout("Data/com.apple.CoreML/model.mlmodel", "proof.json"),  # its Manifest.json lists what is read
    # TensorFlow leaves `assets.extra` to others: it neither reads nor writes it.
    SAVED_MODEL: Layout("saved_model.pb", "assets.extra/proof.json", "assets.extra/pocketzoo.json"),
}
"""By suffix of the directory's name."""


def is_own_directory(path: Path) -> bool:
    """Whether a directory is an artifact of pocketzoo, not just one of that kind."""
    layout = LAYOUTS.get(path.suffix)
    return layout is not None and path.is_dir() and (layout.metadata is None or (path / layout.metadata).is_file())


def graph_file(path: Path) -> Path:
    """The file that holds the graph of an artifact, which is the artifact itself unless it is a directory."""
    return path / LAYOUTS[path.suffix].graph if path.suffix in LAYOUTS else path


def artifact_files(path: Path) -> list[Path]:
    """All files of an artifact, in the order of their names.

    Raises:
        InputError: One cannot be read, or they are too large.
    """
    if not path.is_dir():
        return [check_file(path, MODEL_BYTES)]
    try:
        files = sorted((file for file in path.rglob("*") if not file.is_dir()), key=lambda file: file.as_posix())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    MODEL_BYTES.check(sum(check_file(file).stat().st_size for file in files), path)
    return files


def artifact_bytes(path: Path) -> int:
    """Size of an artifact in bytes."""
    return sum(file.stat().st_size for file in artifact_files(path))


def model_files(path: Path) -> list[Path]:
    """The files of a directory without its certificate."""
    return [file for file in artifact_files(path) if file != path / LAYOUTS[path.suffix].certificate]


def directory_sha256(path: Path) -> str:
    """Hash of a directory without its certificate: of what `sha256sum` prints for its files, sorted by name."""
    listing = hashlib.sha256()
    for file in model_files(path):
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        listing.update(f"{digest}  {file.relative_to(path).as_posix()}\n".encode())
    return listing.hexdigest()
