"""The environment of a run: versions, machine, command and the state of the user's own code."""

import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

PACKAGES = ("pocketzoo", "keras", "tensorflow", "numpy")


def environment() -> dict[str, Any]:
    """Return what is needed to reproduce a run in addition to its recipe and data, as values for JSON."""
    import tensorflow as tf

    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "git": git_commit(),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "processor": processor(),
        "gpus": [
            tf.config.experimental.get_device_details(device).get("device_name", device.name)
            for device in tf.config.list_physical_devices("GPU")
        ],
    }


def git_commit() -> str | None:
    """Return the commit of the working directory, with `-dirty` if tracked files differ; None without a repository."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):  # no git, no repository, no commit yet
        return None
    return result.stdout.strip()


def processor() -> str:
    """Return the name of the CPU as the system reports it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
