"""Served weights, and what a server answers in their place."""

import socket
import time

import numpy as np
from safetensors.numpy import save

from pocketzoo.zoo.pretrained.download import cache_folder
from support.weight_files import legacy_h5

TENSORS = {"conv/kernel": np.arange(2**14, dtype="float32")}


WEIGHTS = {"h5": legacy_h5(TENSORS), "safetensors": save(TENSORS)}


PORTAL = b"\n<!DOCTYPE html><html><body>Please log in</body></html>"


def cached() -> list[str]:
    """Names of the files in the cache but for locks."""
    return sorted(path.name for path in cache_folder().rglob("*") if path.is_file() and path.suffix != ".lock")


def answer(*args, **kwargs):
    return lambda handler: handler.answer(*args, **kwargs)


def break_off(after: int, **headers: str):
    """Sends some bytes of the file from the requested offset on, and resets the connection."""

    def run(handler):
        start = int((handler.headers.get("Range") or "bytes=0-")[6:-1])
        body = WEIGHTS["safetensors"][start:]
        handler.answer(body[:after], 206 if start else 200, length=len(body), **headers)
        handler.wfile.flush()
        if after < len(body):
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            time.sleep(0.05)
            handler.connection.close()

    return run


def closed_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()[1]
