"""Compilers and runtimes that run in processes of their own."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

MOST_SECONDS = 3600
"""The largest nets take TensorFlow Lite Micro minutes here; what takes longer than this hangs."""


def ended(name: str, command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    """What a command printed, and the code that it ended with.

    Args:
        name: What people call it.
        command: What is run.

    Raises:
        RuntimeError: It did not end.
    """
    how = {"capture_output": True, "text": True, "errors": "replace", "timeout": MOST_SECONDS}
    try:
        return subprocess.run(command, check=False, **how)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"{name} gave no answer within {MOST_SECONDS} s") from error
