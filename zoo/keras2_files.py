"""Files of Keras 2: `.h5`, as Teachable Machine writes it, and its `.keras` files."""

import inspect
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import keras

from ..core.documents import parse_json
from ..core.errors import InputError
from ..core.hdf5_files import check_hdf5, open_hdf5
from ..core.limits import TEXT_BYTES
from ..core.weight_budget import check_layers, limit_weights
from ..core.zip_files import read_json_part
from .keras2_config import repair


def load_h5(path: Path) -> keras.Model:
    """Load a model from an `.h5` file of Keras 2 or 3, without its optimizer.

    Raises:
        InputError: The file has weights only, contains code, or something that Keras 3 does not have.
    """
    with open_hdf5(path) as file:
        config, training = file.attrs.get("model_config"), file.attrs.get("training_config", "{}")
        version = _text(file.attrs.get("keras_version", "2"))
    if config is None:
        raise InputError("it has weights only; create the model and load them into it, or save the whole model.")
    document, settings = _parsed(config), _parsed(training)
    check_packages([document, settings])
    check_layers(document)
    if version.startswith("3"):
        check_code(document)
        with limit_weights(path.stat().st_size):
            model = keras.saving.load_model(path, compile=False, safe_mode=True)
    else:
        model = _model(document, path.stat().st_size)
        model.load_weights(path)
    return with_loss(model, settings)


def is_keras2(path: Path) -> bool:
    """Whether Keras 2 wrote a `.keras` file."""
    with zipfile.ZipFile(path) as archive:
        version = read_json_part(archive, "metadata.json")["keras_version"]
    return str(version).startswith("2")


def load_keras2(path: Path) -> keras.Model:
    """Load a `.keras` file of Keras 2, without its optimizer; errors as in `load_h5`."""
    with zipfile.ZipFile(path) as archive, TemporaryDirectory() as folder:
        document = read_json_part(archive, "config.json")
        weights = Path(folder, "model.weights.h5")
        weights.write_bytes(archive.read("model.weights.h5"))
        with h5py.File(weights) as file:
            check_hdf5(file)
        model = _model(document, weights.stat().st_size)
        model.load_weights(weights)
    return with_loss(model, document.get("compile_config"))


def check_code(value: Any) -> None:
    """Raise InputError if a config contains a Lambda layer."""
    if isinstance(value, dict):
        if value.get("class_name") == "Lambda":
            repair(value)
        for item in value.values():
            check_code(item)
    elif isinstance(value, list):
        for item in value:
            check_code(item)


def check_packages(config: Any) -> None:
    """Raise InputError if a config refers to a package that Keras would import, from wherever Python finds it."""
    if isinstance(config, dict):
        package = str(config.get("module")).partition(".")[0]
        if package in ("keras_hub", "keras_cv", "keras_nlp") and package not in sys.modules:
            raise InputError(f"it needs {package}; if you trust the file, import {package} first.")
    for inner in config.values() if isinstance(config, dict) else config if isinstance(config, list) else ():
        check_packages(inner)


def _model(document: dict[str, Any], stored_bytes: int) -> keras.Model:
    entry = repair(document)
    kind = keras.Sequential if entry["class_name"] == "Sequential" else keras.Model
    with limit_weights(stored_bytes):
        return kind.from_config(entry["config"])


def with_loss(model: keras.Model, training: Any) -> keras.Model:
    """Return `model`, which knows the loss it was compiled with, where that is one of Keras: it tells what outputs are.

    Args:
        model: The model.
        training: What the file says of its compilation.
    """
    saved = training.get("loss") if isinstance(training, dict) else None
    loss: Any = _loss(saved)
    if isinstance(saved, dict) and "class_name" not in saved:
        loss = {name: _loss(of_output) for name, of_output in saved.items()}
    elif isinstance(saved, list):
        loss = [_loss(of_output) for of_output in saved]
    model.loss = loss  # type: ignore[method-assign]
    return model


def _loss(saved: Any) -> str | keras.losses.Loss | None:
    """Return a loss of Keras by name, or with its `from_logits`; None for any other. Nothing is executed."""
    if not isinstance(saved, dict):
        return saved if isinstance(saved, str) else None
    kind: Any = getattr(keras.losses, str(saved.get("class_name")), None)
    config = saved.get("config")
    if not (inspect.isclass(kind) and issubclass(kind, keras.losses.Loss) and isinstance(config, dict)):
        return _loss(config)  # the name of a function
    options = {"from_logits": True} if config.get("from_logits") is True else {}
    return kind(**options)


def _parsed(attribute: Any) -> Any:
    text = _text(attribute)
    TEXT_BYTES.check(len(text), "its config")
    return parse_json(text)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
