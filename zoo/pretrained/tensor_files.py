"""Reading of weight files as named arrays. Code in a file is never executed."""

import json
import pickle
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import h5py
import ml_dtypes  # gives NumPy the type bfloat16 by name
import numpy as np

from ...core.errors import InputError, first_line
from ...core.hdf5_files import open_hdf5
from ...core.input_files import check_file, read_file
from ...core.limits import MODEL_BYTES, MODEL_PARTS, TEXT_BYTES

Tensors = dict[str, np.ndarray]

STATE_DICTS = (".safetensors", ".pth", ".pt", ".bin")
"""Suffixes of files that contain a flat dict of tensors."""

TORCH_ONLY = STATE_DICTS[1:]
NOT_WEIGHTS = ("F8_", "F6_", "F4", "C64")
"""First letters of types in safetensors files that are no plain real numbers: they need scales from elsewhere."""
COUNTERS = ("num_batches_tracked", "/count")
"""Suffixes of the names of PyTorch's and Keras' counters, which are integers."""


def read_tensors(path: Path, suffix: str | None = None) -> Tensors:
    """Read all tensors in a file by name, float32 and in the file's order.

    Args:
        path: A `.safetensors` file, PyTorch's `.pth`, `.pt` or `.bin` (read with `weights_only`, which needs PyTorch),
            or an `.h5` in the format of Keras 1 and 2, with names `layer/variable`.
        suffix: The one of these that tells the format; None for that of `path`.

    Raises:
        InputError: The file does not exist, is damaged, or contains anything but finite floating-point numbers.
    """
    check_file(path, MODEL_BYTES)
    suffix = suffix or path.suffix
    check_readable(path.with_suffix(suffix))
    try:
        tensors = _READERS[suffix](path)
    except InputError as error:
        raise InputError(f"{path} cannot be read as weights: {error}") from error
    except Exception as error:  # h5py, safetensors and PyTorch raise many types for damaged files
        content = foreign_content(path)
        reason = f"it is {content}." if content else first_line(error)
        raise InputError(f"{path} cannot be read as weights: {reason}") from error
    if not tensors:
        raise InputError(f"{path} cannot be read as weights: it has no tensors.")
    return {name: checked(path, name, tensor) for name, tensor in tensors.items()}


def check_content(path: Path, name: str) -> None:
    """Check that a downloaded file is whole and of the kind that its name at the source says.

    Raises:
        InputError: It is not a JSON object or not a file of weights; the message says what it is.
    """
    if not name.endswith(".json"):
        read_tensors(path, Path(name).suffix)
        return
    content = read_file(path, TEXT_BYTES)
    try:
        is_object = isinstance(json.loads(content), dict)
    except (ValueError, RecursionError):
        is_object = False
    if not is_object:
        raise InputError(f"{path} is {foreign_content(path) or 'damaged'}, not a JSON object.")


def foreign_content(path: Path) -> str | None:
    """Return what a file is that a server or Git put in the place of another, by its first bytes; None if unknown."""
    with path.open("rb") as file:
        head = file.read(512)
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not head:
        return "empty"
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<script", b"<!--")):
        return "an HTML page, such as the login page of a network or the refusal of a proxy"
    if start.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS, not the file itself (git lfs pull gets it)"
    if start.startswith(b"\x1f\x8b"):
        return "compressed with gzip"
    is_text = not head.strip(bytes(range(32, 127)) + b"\t\r\n")
    if not is_text:
        return None
    kind = "a JSON document" if start[:1] in (b"{", b"[") else "an XML document" if start[:1] == b"<" else "text"
    return f"{kind} that begins with {head[:80].decode('ascii')!r}"


def check_readable(path: Path) -> None:
    """Raise InputError if files with this suffix cannot be read; called before a download starts."""
    if path.suffix not in _READERS:
        raise InputError(f"{path} cannot be read as weights: its name must end in {', '.join(_READERS)}.")
    if path.suffix in TORCH_ONLY and find_spec("torch") is None:
        raise InputError(
            f"{path}: reading {path.suffix} needs PyTorch (pip install torch); or save it as .safetensors."
        )


def checked(path: Path, name: str, tensor: np.ndarray) -> np.ndarray:
    """Return the tensor in float32, or a counter as it is.

    Raises:
        InputError: The tensor is not of floating-point numbers, or a value is NaN or infinite.
    """
    if not np.issubdtype(tensor.dtype, np.floating) and tensor.dtype != ml_dtypes.bfloat16:
        if np.issubdtype(tensor.dtype, np.integer) and name.endswith(COUNTERS):
            return tensor
        raise InputError(f"{path}: tensor {name} is of {tensor.dtype}; weights must be floating-point numbers.")
    with np.errstate(over="ignore"):  # values too large for float32 are reported below
        tensor = tensor.astype("float32", copy=False)
    not_finite = tensor.size - np.count_nonzero(np.isfinite(tensor))
    if not_finite:
        raise InputError(f"{path}: {not_finite} of the {tensor.size} values of tensor {name} are NaN or infinite.")
    return tensor


def _safetensors(path: Path) -> Tensors:
    from safetensors import safe_open
    from safetensors.numpy import load_file

    with safe_open(path, "numpy") as file:  # checks the header against the size of the file
        names = list(file.keys())
        MODEL_PARTS.check(len(names), "it")
        for name in names:
            dtype = file.get_slice(name).get_dtype()
            if dtype.startswith(NOT_WEIGHTS):
                raise InputError(f"its tensor {name} is of {dtype}; weights must be F64, F32, F16 or BF16.")
    with path.open("rb") as file:
        header = file.read(int.from_bytes(file.read(8), "little"))
    json.loads(header, object_pairs_hook=_unique)
    return load_file(path)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; a second entry of a name would silently replace the first."""
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise InputError(f"its header names {next(name for name in names if names.count(name) > 1)!r} twice.")
    return dict(pairs)


def _state_dict(path: Path) -> Tensors:
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError("it contains more than tensors, or is damaged; nothing in it was executed.") from error
    state = state.get("state_dict", state) if isinstance(state, dict) else {"nothing": None}
    if not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise InputError(f"it is not a flat dict of tensors; it has {', '.join(map(str, list(state)[:5]))}.")
    return {name: (tensor.float() if tensor.is_floating_point() else tensor).numpy() for name, tensor in state.items()}


def _legacy_h5(path: Path) -> Tensors:
    """Read a file with one group per layer, whose attributes store the order of layers and of their weights."""
    tensors: Tensors = {}
    with open_hdf5(path) as file:
        root = file.get("model_weights", file)
        for layer in _names(root, "layer_names"):
            group = root[layer]
            for weight in _names(group, "weight_names"):
                name = f"{layer}/{weight.rpartition('/')[2].removesuffix(':0')}"
                if name in tensors:
                    raise InputError(f"its layer {layer} has two weights named {name.rpartition('/')[2]}.")
                if not isinstance(group[weight], h5py.Dataset):
                    raise InputError(f"{layer}/{weight} is no tensor.")
                tensors[name] = np.asarray(group[weight][()])
    return tensors


def _names(item: Any, attribute: str) -> list[str]:
    """Return the names in an attribute of a group."""
    if attribute not in item.attrs:
        raise InputError(f"it is not a weights file of Keras 1 or 2: {item.name} has no {attribute}.")
    names = np.atleast_1d(item.attrs[attribute]).tolist()
    if not all(isinstance(name, str | bytes) for name in names):
        raise InputError(f"it is not a weights file of Keras 1 or 2: the {attribute} of {item.name} are no names.")
    return [_text(name) for name in names]


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


_READERS = {".h5": _legacy_h5, ".safetensors": _safetensors} | dict.fromkeys(TORCH_ONLY, _state_dict)
