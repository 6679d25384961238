"""Models and weights to and from files. Nothing a file contains is ever executed."""

import io
import json
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import keras
import numpy as np

from .. import layers as _layers
from ..core.atomic_files import atomic_path
from ..core.errors import InputError, first_line


def save_model(model: keras.Model, path: str | Path) -> Path:
    """Writes `model` as one `.keras` file (architecture, weights, labels, normalisation) and returns its path.

    Raises:
        InputError: `path` does not end in `.keras`.
    """
    path = Path(path)
    if path.suffix != ".keras":
        raise InputError(f"cannot save a model as {str(path)!r}: the name must end in .keras.")
    with atomic_path(path) as temporary:
        model.save(temporary)
    return path


def load_model(path: str | Path) -> keras.Model:
    """Reads a `.keras` file that `save_model` or Keras wrote.

    Raises:
        InputError: There is no such file, or it is not a whole `.keras` file, or it holds code (a Lambda layer).
    """
    path = _existing(path)
    if path.suffix != ".keras" or not zipfile.is_zipfile(path):
        raise InputError(f"{path} is not a .keras model file.")
    _register_layers()
    try:
        _check_packages(path)
        return keras.saving.load_model(path, safe_mode=True)
    except Exception as error:  # Keras raises a dozen kinds for a damaged file, from KeyError to BadZipFile.
        raise InputError(f"{path} cannot be read as a .keras model: {first_line(error)}") from error


def _check_packages(path: Path) -> None:
    """Raises InputError where a file names a package that Keras would import for it, from wherever it finds one."""

    def check(entry: dict) -> dict:
        package = str(entry.get("module")).partition(".")[0]
        if package in ("keras_hub", "keras_cv", "keras_nlp") and package not in sys.modules:
            raise InputError(f"it takes {package}; import that first, if you trust the file to use it.")
        return entry

    with zipfile.ZipFile(path) as archive:
        json.loads(archive.read("config.json"), object_hook=check)


def load_weights(model: keras.Model, path: str | Path) -> None:
    """Fills `model` from a `.weights.h5` or `.keras` file of the very same architecture.

    Keras itself matches layers by kind and position and leaves out what is in the file but not in the model, so another
    net's weights may go in without a word. Here every tensor of either side must have its like on the other.

    Raises:
        InputError: There is no such file, it is damaged, or its weights are not this model's.
    """
    path = _existing(path)
    try:
        theirs = _tensor_shapes(path)
    except Exception as error:  # of zipfile and h5py, for every way in which a file can be damaged
        raise InputError(f"{path} cannot be read as weights: {first_line(error)}") from error
    with TemporaryDirectory() as folder:
        model.save_weights(Path(folder, "own.weights.h5"))
        ours = _tensor_shapes(Path(folder, "own.weights.h5"))
    if ours != theirs:
        different = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
        first = different[0]
        raise InputError(
            f"{path} does not hold the weights of {model.name}: {len(different)} tensors differ, first {first}, "
            f"{theirs.get(first, 'missing')} in the file and {ours.get(first, 'missing')} in the model."
        )
    model.load_weights(path)
    for weight in model.weights:
        if not np.isfinite(keras.ops.convert_to_numpy(weight)).all():
            raise InputError(f"{path}: tensor {weight.path} has numbers that are NaN or infinite.")


def _tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes by name of the weights in a file, without those of an optimizer."""
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith("optimizer/"):
            shapes[name] = item.shape

    content = zipfile.ZipFile(path).read("model.weights.h5") if path.suffix == ".keras" else path.read_bytes()
    with h5py.File(io.BytesIO(content)) as file:
        file.visititems(note)
    return shapes


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file.")
    return path


def _register_layers() -> None:
    for name in _layers.__all__:
        getattr(_layers, name)  # importing a layer's module registers it with Keras
