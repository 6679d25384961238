"""Compilers and runtimes that run in subprocesses."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

MAX_SECONDS = 3600
"""Time limit: the largest models take TensorFlow Lite Micro minutes; what takes longer than this hangs."""


def run_command(
    name: str, command: Sequence[str | Path], folder: Path | None = None, *, seconds: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command and capture its output; it may exit with any code.

    Args:
        name: What error messages call it.
        command: Program and arguments.
        folder: Its working directory; that of this process if None.
        seconds: Time limit; `MAX_SECONDS` if None.

    Raises:
        RuntimeError: It did not finish in time.
    """
    seconds = MAX_SECONDS if seconds is None else seconds
    try:
        return subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=seconds, check=False, cwd=folder
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"{name} did not finish within {seconds} s") from error
