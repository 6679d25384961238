"""Reading of weight files as named arrays. Code in a file is never executed."""

import pickle
from importlib.util import find_spec
from pathlib import Path

import h5py
import numpy as np

from ...core.errors import InputError, first_line

Tensors = dict[str, np.ndarray]

STATE_DICTS = (".safetensors", ".pth", ".pt", ".bin")
"""Suffixes of files that contain a flat dict of tensors."""

TORCH_ONLY = STATE_DICTS[1:]
COUNTERS = ("num_batches_tracked", "/count")
"""Suffixes of the names of PyTorch's and Keras' counters, which are integers."""


def read_tensors(path: Path) -> Tensors:
    """Read all tensors in a file by name, float32 and in the file's order.

    Args:
        path: A `.safetensors` file, PyTorch's `.pth`, `.pt` or `.bin` (read with `weights_only`, which needs PyTorch),
            or an `.h5` in the format of Keras 1 and 2, with names `layer/variable`.

    Raises:
        InputError: The file does not exist, is damaged, or contains anything but finite floating-point numbers.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file.")
    check_readable(path)
    try:
        tensors = _READERS[path.suffix](path)
    except InputError:
        raise
    except Exception as error:  # h5py, safetensors and PyTorch raise many types for damaged files
        raise InputError(f"{path} cannot be read as weights: {first_line(error)}") from error
    return {name: checked(path, name, tensor) for name, tensor in tensors.items()}


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
    if not np.issubdtype(tensor.dtype, np.floating) and tensor.dtype.name != "bfloat16":
        if name.endswith(COUNTERS):
            return tensor
        raise InputError(f"{path}: tensor {name} is of {tensor.dtype}; weights must be floating-point numbers.")
    with np.errstate(over="ignore"):  # values too large for float32 are reported below
        tensor = tensor.astype("float32", copy=False)
    not_finite = tensor.size - np.count_nonzero(np.isfinite(tensor))
    if not_finite:
        raise InputError(f"{path}: {not_finite} of the {tensor.size} values of tensor {name} are NaN or infinite.")
    return tensor


def _safetensors(path: Path) -> Tensors:
    from safetensors.numpy import load_file

    return load_file(path)


def _state_dict(path: Path) -> Tensors:
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(f"{path} contains more than tensors, or is damaged; nothing in it was executed.") from error
    state = state.get("state_dict", state) if isinstance(state, dict) else {"nothing": None}
    if not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise InputError(f"{path} is not a flat dict of tensors; it has {', '.join(map(str, list(state)[:5]))}.")
    return {name: (tensor.float() if tensor.is_floating_point() else tensor).numpy() for name, tensor in state.items()}


def _legacy_h5(path: Path) -> Tensors:
    """Read a file with one group per layer, whose attributes store the order of layers and of their weights."""
    tensors: Tensors = {}
    with h5py.File(path) as file:
        root = file.get("model_weights", file)
        if "layer_names" not in root.attrs:
            raise InputError(f"{path} is not a weights file of Keras 1 or 2: it has no layer names.")
        for layer in map(_text, root.attrs["layer_names"]):
            group = root[layer]
            for weight in group.attrs["weight_names"]:
                variable = _text(weight).rpartition("/")[2].removesuffix(":0")
                if f"{layer}/{variable}" in tensors:
                    raise InputError(f"{path}: layer {layer} has two weights named {variable}.")
                tensors[f"{layer}/{variable}"] = group[_text(weight)][()]
    return tensors


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


_READERS = {".h5": _legacy_h5, ".safetensors": _safetensors} | dict.fromkeys(TORCH_ONLY, _state_dict)
