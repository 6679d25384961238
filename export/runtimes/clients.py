"""Models in clients: programs of the environment of clients that take arrays and return arrays."""

import json
import re
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from .client_environment import run_client

PROGRAMS = Path(__file__).with_name("client_programs")
DRIVER = PROGRAMS / "driver.py"
IGNORED = re.compile(r"^Exception ignored .*\n(Traceback .*\n([ \t]+.*\n)*)?.*(\n|\Z)", re.MULTILINE)
"""What Python prints of an error in a destructor at exit, after the error that ended the program."""


@dataclass(frozen=True)
class ClientRun:
    """Results of a client."""

    outputs: dict[str, np.ndarray]
    """By the client's name of the output: one row for each image."""
    median_ms: float
    """Latency of one image in milliseconds."""
    version: str
    """Version of the client."""


def run_in_client(module: str, program: str, path: Path, tensors: Mapping[str, Any], **settings: Any) -> ClientRun:
    """Run a file in a client, image by image.

    Args:
        module: Name of the client's Python module.
        program: Name of a file in `client_programs/`.
        path: The file.
        tensors: Input tensors by name, one row for each image.
        settings: Arguments of the program.

    Raises:
        RuntimeError: The client is not installed, refuses the file, crashes or hangs.
    """
    with TemporaryDirectory() as folder:
        np.savez(Path(folder, "inputs.npz"), **tensors)
        arguments = (PROGRAMS / program, path.absolute(), folder, json.dumps(settings))
        done = run_client(module, DRIVER, *arguments, folder=Path(folder))  # where converters may write what they like
        if done.returncode:
            raise RuntimeError(failure(done))
        facts = json.loads(Path(folder, "facts.json").read_text(encoding="utf-8"))
        with np.load(Path(folder, "outputs.npz")) as outputs:
            return ClientRun(dict(outputs), **facts)


def failure(done: subprocess.CompletedProcess[str]) -> str:
    """Why a program failed: its exception or last line, and the signal that ended it."""
    text = IGNORED.sub("", done.stderr) or done.stdout
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    raised = [number for number, line in enumerate(lines) if re.match(r"[\w.]*([Ee]rror|Exception)\b.*: ", line)]
    message = " ".join(lines[raised[-1] if raised else -1 :])
    if done.returncode >= 0:
        return message or f"the process ends with code {done.returncode}"
    ended = f"the process is ended by {signal.Signals(-done.returncode).name}"
    return f"{ended}: {message}" if message else ended
