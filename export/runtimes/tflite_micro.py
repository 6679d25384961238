"""TensorFlow Lite Micro in a subprocess, which a failed assertion of a kernel takes down with it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from .subprocesses import run_command

ALIGNMENT = 16
"""Alignment of arenas in bytes."""
MAX_ARENA = 2**29
"""Far more than any microcontroller has; a model that does not load in it fails for another reason."""
CONSEQUENCES = ("Failed starting model allocation", "Failed to allocate", "TFLM failed")
"""Beginnings of messages that do not name the cause."""


@dataclass(frozen=True)
class MicroRun:
    """Results of TensorFlow Lite Micro."""

    outputs: np.ndarray
    """Output tensors of all images, concatenated."""
    seconds: float
    """Time for one image on this host, with unoptimized kernels."""


class RefusedError(Exception):
    """TensorFlow Lite Micro does not load or run the model; the message is its last error."""

    def __init__(self, message: str, image: int):
        super().__init__(message)
        self.image = image
        """Index of the image on which it stopped; 0 where it did not load."""


@lru_cache(maxsize=1)
def smallest_arena(model: bytes) -> int:
    """Size in bytes of the smallest arena in which a TFLite file loads; an upper bound, as pointers have 64 bits here.

    Raises:
        RefusedError: It loads in none.
    """
    with TemporaryDirectory() as folder:
        Path(folder, "model.tflite").write_bytes(model)
        return int(_run_subprocess("arena", folder))


def run_in_micro(model: bytes, tensors: np.ndarray, arena_bytes: int = MAX_ARENA) -> MicroRun:
    """Run a TFLite file.

    Args:
        model: Content of the file.
        tensors: Input tensors `(count, ...)`, of the type of the model's input.
        arena_bytes: Size of the arena.

    Raises:
        RefusedError: The model does not load, or fails on an image.
    """
    with TemporaryDirectory() as folder:
        Path(folder, "model.tflite").write_bytes(model)
        np.save(Path(folder, "inputs.npy"), tensors)
        _run_subprocess("run", folder, str(arena_bytes))
        with np.load(Path(folder, "outputs.npz")) as results:
            return MicroRun(results["outputs"], float(results["seconds"]))


def _run_subprocess(*arguments: str) -> str:
    """Run this file as a program; returns its standard output."""
    done = run_command("TensorFlow Lite Micro", [sys.executable, "-P", "-m", __name__, *arguments])
    if done.returncode:
        raise RefusedError(_error_message(done), len(done.stdout.splitlines()))
    return done.stdout


def _error_message(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode < 0:
        return f"an assertion failed in it (signal {-done.returncode})"
    lines = [line for line in done.stderr.splitlines() if line and not line.startswith((" ", "Traceback"))]
    causes = [line for line in lines if not any(consequence in line for consequence in CONSEQUENCES)]
    return next(reversed(causes or lines), f"it exited with code {done.returncode}")


def _load(folder: str, arena_bytes: int) -> Any:
    from tflite_micro import runtime

    return runtime.Interpreter.from_file(str(Path(folder, "model.tflite")), arena_size=arena_bytes)


def _print_arena(folder: str) -> None:
    _load(folder, MAX_ARENA)  # raises where memory is not the cause
    print(_smallest(lambda arena_bytes: _load(folder, arena_bytes)))


def _run(folder: str, arena_bytes: str) -> None:
    """Run all images, and print a line after each."""
    interpreter = _load(folder, int(arena_bytes))
    outputs, seconds = [], []
    for tensor in np.load(Path(folder, "inputs.npy"), mmap_mode="r"):
        start = time.perf_counter()
        interpreter.set_input(np.asarray(tensor)[None], 0)
        interpreter.invoke()
        outputs.append(interpreter.get_output(0))
        seconds.append(time.perf_counter() - start)
        print("done", flush=True)
    np.savez(Path(folder, "outputs.npz"), outputs=np.concatenate(outputs), seconds=np.median(seconds))


def _smallest(load: Callable[[int], object]) -> int:
    """Bisect for the smallest arena in bytes with which `load` succeeds."""
    too_small, enough = 0, MAX_ARENA // ALIGNMENT
    while enough - too_small > 1:
        middle = (too_small + enough) // 2
        if _succeeds(load, middle * ALIGNMENT):
            enough = middle
        else:
            too_small = middle
    return enough * ALIGNMENT


def _succeeds(load: Callable[[int], object], arena_bytes: int) -> bool:
    """Whether `load` succeeds, tried in a fork: TFLite Micro crashes in some arenas that are too small."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == 0
    try:
        load(arena_bytes)
        os._exit(0)
    finally:
        os._exit(1)


if __name__ == "__main__":
    {"arena": _print_arena, "run": _run}[sys.argv[1]](*sys.argv[2:])
