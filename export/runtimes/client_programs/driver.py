"""Runs a model in a client, image by image; this package is not installed where it runs."""

import json
import sys
import time
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np


def main(program: str, model: str, folder: str, settings: str) -> None:
    """Run a model on `inputs.npz` in a folder, and write `outputs.npz` and `facts.json` there.

    Args:
        program: File with `open_model` and `version`.
        model: Path of the model.
        folder: The folder. Arrays have one row for each image.
        settings: Keyword arguments of `open_model`, as JSON.
    """
    client = _load(program)
    inputs = dict(np.load(Path(folder, "inputs.npz")))
    predict = client.open_model(model, **json.loads(settings))
    rows, milliseconds = [], []
    for row in range(len(next(iter(inputs.values())))):
        tensors = {name: np.ascontiguousarray(values[row : row + 1]) for name, values in inputs.items()}
        start = time.perf_counter()
        outputs = predict(tensors)
        milliseconds.append((time.perf_counter() - start) * 1000)
        rows.append({name: np.array(values) for name, values in outputs.items()})  # the client may overwrite them
    joined: dict[str, Any] = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    np.savez(Path(folder, "outputs.npz"), **joined)
    facts = {"version": client.version(), "median_ms": float(np.median(milliseconds))}
    Path(folder, "facts.json").write_text(json.dumps(facts), encoding="utf-8")


def _load(program: str) -> ModuleType:
    """Import a file that may have the name of its client."""
    loader = SourceFileLoader("client_program", program)
    module = ModuleType(loader.name)
    loader.exec_module(module)
    return module


if __name__ == "__main__":
    main(*sys.argv[1:])
