"""Whether a file can be a model, by its name and its first bytes. Imports no Keras."""

import zipfile
from pathlib import Path

from ..core.errors import InputError
from ..core.input_files import check_file
from ..core.limits import MODEL_BYTES
from .registry import MODEL_SUFFIXES

SAVED_MODEL = "saved_model.pb"
"""File in the folder of a SavedModel."""


def check_model_file(path: str | Path) -> Path:
    """Return the path of a `.keras` or `.h5` file, or of the folder of a SavedModel.

    Raises:
        InputError: It does not exist, is too large, or cannot be a model.
    """
    path = Path(path)
    if path.is_dir():
        if not (path / SAVED_MODEL).is_file():
            raise InputError(f"{path} is a folder without {SAVED_MODEL}, so it is not a SavedModel.")
        return path
    check_file(path, MODEL_BYTES)
    if path.suffix not in MODEL_SUFFIXES:
        raise InputError(
            f"{path} is not a model file: its name must end in .keras or .h5, or it is a SavedModel folder."
        )
    if not (zipfile.is_zipfile if path.suffix == ".keras" else _is_hdf5)(path):
        raise InputError(f"{path} is not a {path.suffix} model file.")
    return path


def _is_hdf5(path: Path) -> bool:
    import h5py

    return bool(h5py.is_hdf5(path))
