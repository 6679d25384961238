"""TensorFlow Lite Micro, in a process of its own: a kernel's assertion that fails takes its process with it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from .subprocesses import ended

ALIGNMENT = 16
"""Of arenas, in bytes."""
MOST_ARENA = 2**29
"""Far above what any microcontroller has; a model that does not load in it does not load for another reason."""
CONSEQUENCES = ("Failed starting model allocation", "Failed to allocate", "TFLM failed")
"""How messages begin that say nothing of the cause."""


@dataclass(frozen=True)
class MicroRun:
    """What TensorFlow Lite Micro made of images."""

    outputs: np.ndarray
    """As the output tensor holds them, all images for the batch."""
    seconds: float
    """Of one image on this host, with kernels that are not optimised."""


class RefusedError(Exception):
    """TensorFlow Lite Micro does not load or run the model; the message has its last words."""

    def __init__(self, message: str, image: int):
        super().__init__(message)
        self.image = image
        """Index of the image on which it stopped, 0 where it did not load."""


@lru_cache(maxsize=1)
def smallest_arena(model: bytes) -> int:
    """Bytes of the smallest arena in which a TFLite file loads here; pointers of 64 bits make it an upper bound.

    Raises:
        RefusedError: It loads in none.
    """
    with TemporaryDirectory() as folder:
        Path(folder, "model.tflite").write_bytes(model)
        return int(_in_a_process("arena", folder))


def run_in_micro(model: bytes, tensors: np.ndarray, arena_bytes: int = MOST_ARENA) -> MicroRun:
    """Runs a TFLite file.

    Args:
        model: The file's content.
        tensors: Input tensors `(count, ...)`, of the type of the model's input.
        arena_bytes: Memory that it may use.

    Raises:
        RefusedError: It does not load, or does not run to the end.
    """
    with TemporaryDirectory() as folder:
        Path(folder, "model.tflite").write_bytes(model)
        np.save(Path(folder, "inputs.npy"), tensors)
        _in_a_process("run", folder, str(arena_bytes))
        with np.load(Path(folder, "answers.npz")) as answers:
            return MicroRun(answers["outputs"], float(answers["seconds"]))


def _in_a_process(*arguments: str) -> str:
    """What it prints."""
    done = ended("TensorFlow Lite Micro", [sys.executable, "-P", "-m", __name__, *arguments])
    if done.returncode:
        raise RefusedError(_last_words(done), len(done.stdout.splitlines()))
    return done.stdout


def _last_words(done: subprocess.CompletedProcess) -> str:
    if done.returncode < 0:
        return f"an assertion failed in it (signal {-done.returncode})"
    lines = [line for line in done.stderr.splitlines() if line and not line.startswith((" ", "Traceback"))]
    causes = [line for line in lines if not any(consequence in line for consequence in CONSEQUENCES)]
    return next(reversed(causes or lines), f"it ended with code {done.returncode}")


def _load(folder: str, arena_bytes: int):
    from tflite_micro import runtime

    return runtime.Interpreter.from_file(str(Path(folder, "model.tflite")), arena_size=arena_bytes)


def _print_arena(folder: str) -> None:
    _load(folder, MOST_ARENA)  # raises where memory is not the cause
    print(_smallest(lambda arena_bytes: _load(folder, arena_bytes)))


def _run(folder: str, arena_bytes: str) -> None:
    """Prints one line for each image that is done."""
    interpreter = _load(folder, int(arena_bytes))
    outputs, seconds = [], []
    for tensor in np.load(Path(folder, "inputs.npy")):
        start = time.perf_counter()
        interpreter.set_input(tensor[None], 0)
        interpreter.invoke()
        outputs.append(interpreter.get_output(0))
        seconds.append(time.perf_counter() - start)
        print("done", flush=True)
    np.savez(Path(folder, "answers.npz"), outputs=np.concatenate(outputs), seconds=np.median(seconds))


def _smallest(load: Callable[[int], object]) -> int:
    """The smallest arena with which `load` succeeds, in bytes, by bisection."""
    too_small, enough = 0, MOST_ARENA // ALIGNMENT
    while enough - too_small > 1:
        middle = (too_small + enough) // 2
        if _succeeds(load, middle * ALIGNMENT):
            enough = middle
        else:
            too_small = middle
    return enough * ALIGNMENT


def _succeeds(load: Callable[[int], object], arena_bytes: int) -> bool:
    """Whether `load` does, tried in a fork: in some arenas that are too small TFLite Micro crashes."""
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
