"""TensorFlow Lite Micro, in a process of its own: a kernel's assertion that fails takes its process with it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

ALIGNMENT = 16
"""Of arenas, in bytes."""
MOST_ARENA = 2**29
"""Far above what any microcontroller has; a model that does not load in it does not load for another reason."""
CONSEQUENCES = ("Failed starting model allocation", "Failed to allocate", "TFLM failed")
"""How messages begin that say nothing of the cause."""


@dataclass(frozen=True)
class MicroRun:
    """What TensorFlow Lite Micro made of a model."""

    outputs: np.ndarray
    """As the output tensor holds them, all images for the batch."""
    arena_bytes: int
    """Of the arena in which it ran; where it is the smallest, pointers of 64 bits still make it an upper bound."""
    seconds: float
    """Of one image on this host, with kernels that are not optimised."""


class RefusedError(Exception):
    """TensorFlow Lite Micro does not load or run the model; the message has its last words."""

    def __init__(self, message: str, image: int):
        super().__init__(message)
        self.image = image
        """Index of the image on which it stopped, 0 where it did not load."""


def run_in_micro(model: bytes, tensors: np.ndarray, arena_bytes: int | None = None) -> MicroRun:
    """Runs a TFLite file.

    Args:
        model: The file's content.
        tensors: Input tensors `(count, ...)`, of the type of the model's input.
        arena_bytes: Memory that it may use; None for the least that it loads in, which takes a moment to find.

    Raises:
        RefusedError: It does not load, or does not run to the end.
    """
    with TemporaryDirectory() as folder:
        file, given, made = (Path(folder, name) for name in ("model.tflite", "inputs.npy", "made.npz"))
        file.write_bytes(model)
        np.save(given, tensors)
        command = [sys.executable, "-P", "-m", __name__, str(file), str(given), str(made), str(arena_bytes or 0)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        if done.returncode or not made.exists():
            raise RefusedError(_last_words(done), len(done.stdout.splitlines()))
        with np.load(made) as answers:
            return MicroRun(answers["outputs"], int(answers["arena_bytes"]), float(answers["seconds"]))


def _last_words(done: subprocess.CompletedProcess) -> str:
    if done.returncode < 0:
        return f"an assertion failed in it (signal {-done.returncode})"
    lines = [line for line in done.stderr.splitlines() if line and not line.startswith((" ", "Traceback"))]
    causes = [line for line in lines if not any(consequence in line for consequence in CONSEQUENCES)]
    return next(reversed(causes or lines), f"it ended with code {done.returncode}")


def _run(model: str, given: str, made: str, arena: str) -> None:
    """What the process does; it prints one line for each image that is done."""
    from tflite_micro import runtime

    def load(arena_bytes: int) -> runtime.Interpreter:
        return runtime.Interpreter.from_file(model, arena_size=arena_bytes)

    load(MOST_ARENA)  # raises where memory is not the cause
    arena_bytes = int(arena) or _smallest(load)
    interpreter, outputs, seconds = load(arena_bytes), [], []
    for tensor in np.load(given):
        start = time.perf_counter()
        interpreter.set_input(tensor[None], 0)
        interpreter.invoke()
        outputs.append(interpreter.get_output(0))
        seconds.append(time.perf_counter() - start)
        print("done", flush=True)
    np.savez(made, outputs=np.concatenate(outputs), arena_bytes=arena_bytes, seconds=np.median(seconds))


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
    _run(*sys.argv[1:])
