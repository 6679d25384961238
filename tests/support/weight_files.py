"""Files of weights as the real writers make them, and as no writer does."""

import io
import json
import struct
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np


def legacy_h5(tensors: Mapping[str, np.ndarray]) -> bytes:
    """A file in the format of Keras 1 and 2, with tensors by `layer/variable`."""
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        layers = list(dict.fromkeys(name.partition("/")[0] for name in tensors))
        file.attrs["layer_names"] = [layer.encode() for layer in layers]
        for layer in layers:
            group = file.create_group(layer)
            names = [f"{name}:0" for name in tensors if name.startswith(f"{layer}/")]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name in names:
                group[name] = tensors[name.removesuffix(":0")]
    return content.getvalue()


def safetensors(header: Any, values: bytes = b"") -> bytes:
    """A safetensors file with a header that may be any JSON, or bytes that are none."""
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(encoded)) + encoded + values
