"""Saving and loading of models and weights. Code in a file is never executed."""

import io
import json
import re
import zipfile
from inspect import signature
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from .. import layers as _layers
from ..core.arguments import check_arguments
from ..core.atomic_files import atomic_path
from ..core.errors import InputError, first_line, input_error_in
from ..core.hdf5_files import check_hdf5, open_hdf5
from ..core.input_files import check_file
from ..core.keras_private import keras_file, weights_file
from ..core.limits import MODEL_BYTES
from ..core.outputs import map_outputs
from ..core.process_patches import allow_deep_graphs
from ..core.weight_budget import check_layers, check_tensors, limit_weights
from ..core.zip_files import check_archive, read_json_part
from .contract import recorded_statements, state_contract
from .keras2_files import check_packages, is_keras2, load_h5, load_keras2, with_loss
from .model_files import check_model_file
from .saved_model import load_saved_model

STATEMENTS = "pocketzoo.json"
"""Entry of a `.keras` file with what was stated about the model; Keras passes over it."""
WEIGHTS = "model.weights.h5"
"""Entry with the weights."""
NOT_FOUND = re.compile(r"Could not locate (class|function) '([^']+)'")
REGISTRATION = (
    "in Python import it first, decorated with @keras.saving.register_keras_serializable(); for the commands save the "
    "model as stock layers where it consists of them, with zoo.save_model(zoo.flatten_model(model), 'flat.keras')"
)
"""What to do about a class of the user's own."""


@check_arguments
def save_model(model: keras.Model, path: str | Path) -> Path:
    """Save `model` as one `.keras` file (architecture, weights, labels, normalization) and return its path.

    What was stated about a model of the user's own, such as its pixel range, is in the file, too, for `load_model`.

    Raises:
        InputError: `path` does not end in `.keras`, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix != ".keras":
        raise InputError(f"cannot save a model as {str(path)!r}: the name must end in .keras.")
    content = io.BytesIO(keras_file(model))
    if statements := recorded_statements(model):
        with zipfile.ZipFile(content, "a") as archive:  # the same bytes at any time
            archive.writestr(zipfile.ZipInfo(STATEMENTS), json.dumps(statements))
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.getbuffer())
    return path


def save_weights_file(model: keras.Model, path: str | Path) -> None:
    """Save the weights as Keras' `.weights.h5` file, with the state of the optimizer if the model is compiled.

    Raises:
        WriteError: The file cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(weights_file(model))


@check_arguments
def load_model(path: str | Path) -> keras.Model:
    """Load a model from a file that `save_model` or Keras wrote, or from a folder of TensorFlow.

    Args:
        path: A `.keras` file; an `.h5` file of Keras 2, as Teachable Machine exports it, or 3; or the folder of a
            SavedModel, which only computes: its layers are not known. Nothing in a file is executed.

    Raises:
        InputError: The file does not exist, is damaged, contains code (a Lambda layer), or something that Keras 3 does
            not have.
    """
    path = check_model_file(path)
    if path.is_dir():
        return load_saved_model(path)
    _register_layers()
    try:
        model = load_h5(path) if path.suffix != ".keras" else _load_keras(path)
        check_tensors(model)
        return model
    except Exception as error:  # A damaged file raises one of a dozen types, from KeyError to BadZipFile.
        if missing := NOT_FOUND.search(str(error)):
            raise InputError(
                f"{path} has the {missing[1]} {missing[2]!r}, which is not known here; {REGISTRATION}."
            ) from error
        reason = first_line(input_error_in(error) or error)  # a refusal may be within an error of Keras
        raise InputError(f"{path} cannot be read as a {path.suffix} model: {reason}") from error


def _load_keras(path: Path) -> keras.Model:
    with zipfile.ZipFile(path) as archive:
        check_archive(archive)
        stored_bytes = 0
        if WEIGHTS in archive.namelist():
            stored_bytes = archive.getinfo(WEIGHTS).file_size
            with h5py.File(io.BytesIO(archive.read(WEIGHTS))) as file:
                check_hdf5(file)
        config = read_json_part(archive, "config.json")
        statements = read_json_part(archive, STATEMENTS) if STATEMENTS in archive.namelist() else {}
    check_packages(config)
    check_layers(config)
    return load_keras2(path) if is_keras2(path) else _load_keras3(path, stored_bytes, config, statements)


def _load_keras3(path: Path, stored_bytes: int, config: dict[str, Any], statements: Any) -> keras.Model:
    """Load a `.keras` file of Keras 3; one with a loss or metric of the user's own, which is not here, uncompiled."""
    allow_deep_graphs()
    try:
        with limit_weights(stored_bytes):
            model = keras.saving.load_model(path, safe_mode=True)
    except (TypeError, ValueError):
        with limit_weights(stored_bytes):
            model = keras.saving.load_model(path, safe_mode=True, compile=False)
        model = with_loss(model, config.get("compile_config"))
    if statements:
        _state(model, statements)
    return model


def _state(model: keras.Model, statements: Any) -> None:
    """State what a file says about its model."""
    allowed = signature(state_contract).parameters.keys() - {"model", "report"}
    if not isinstance(statements, dict) or not statements.keys() <= allowed:
        names = ", ".join(sorted(allowed))
        raise InputError(f"its {STATEMENTS} has other entries than {names}.")
    if likely_range := statements.pop("likely_range", None):
        statements["likely_range"] = map_outputs(tuple, likely_range)
    check_arguments(state_contract)(model, **statements, report=False)


def load_weights(model: keras.Model, path: str | Path) -> None:
    """Load the weights of exactly the same architecture from a `.weights.h5` or `.keras` file into `model`.

    Keras matches layers by type and position and ignores tensors that are only in the file, so it can load the weights
    of another architecture silently. Here names and shapes must match on both sides.

    Raises:
        InputError: The file does not exist or is damaged, its tensors do not match the model's, or a value is NaN or
            infinite.
    """
    in_file = tensor_shapes(path)
    with h5py.File(io.BytesIO(weights_file(model))) as file:
        in_model = _shapes(file)
    if in_model != in_file:
        names = in_model.keys() | in_file.keys()
        different = sorted(name for name in names if in_model.get(name) != in_file.get(name))
        first = different[0]
        raise InputError(
            f"{path} does not contain the weights of {model.name}: {len(different)} tensors differ, first {first}, "
            f"{in_file.get(first, 'missing')} in the file and {in_model.get(first, 'missing')} in the model."
        )
    try:
        model.load_weights(path)
    except Exception as error:  # names and shapes are right; types and what Keras refuses remain
        raise InputError(f"{path} cannot be read as weights: {first_line(error)}") from error
    for weight in model.weights:
        if not np.isfinite(keras.ops.convert_to_numpy(weight)).all():
            raise InputError(f"{path}: tensor {weight.path} has values that are NaN or infinite.")


def tensor_shapes(path: str | Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the weights in a `.weights.h5` or `.keras` file by name, without those of the optimizer.

    Raises:
        InputError: The file does not exist or is damaged.
    """
    path = check_file(path, MODEL_BYTES)
    try:
        if path.suffix != ".keras":
            with open_hdf5(path) as file:
                return _shapes(file)
        with h5py.File(io.BytesIO(_weights_part(path))) as file:
            check_hdf5(file)
            return _shapes(file)
    except Exception as error:  # zipfile and h5py raise many types for damaged files
        raise InputError(f"{path} cannot be read as weights: {first_line(error)}") from error


def _shapes(file: h5py.File) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}

    def add_shape(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith("optimizer/"):
            shapes[name] = item.shape

    file.visititems(add_shape)
    return shapes


def _weights_part(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        check_archive(archive)
        return archive.read(WEIGHTS)


def _register_layers() -> None:
    for name in dir(_layers):
        getattr(_layers, name)  # importing a layer's module registers it with Keras
