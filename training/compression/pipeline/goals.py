"""What matters on each target of advice: the runtime, and which size."""

from dataclasses import dataclass
from typing import Literal

from ....core.errors import unknown

Runtime = Literal["tflite", "onnx"]
"""Prefix of the names of a runtime's formats."""


@dataclass(frozen=True)
class Goal:
    """What matters on a target."""

    runtime: Runtime
    size: Literal["bytes", "gzip_bytes"] | None
    """Which size matters: that of the file or of the download; None where size does not matter."""
    smaller: str = ""
    """How to say that it is smaller."""


GOALS = {
    "mobile": Goal("tflite", "gzip_bytes", "smaller to download"),
    "edge": Goal("tflite", "bytes", "smaller in flash"),
    "web": Goal("tflite", "gzip_bytes", "smaller to download"),
    "server": Goal("onnx", None),
}


def goal_of(target: str) -> Goal:
    """Return what matters on `target`; raise InputError if there is no such target."""
    if target not in GOALS:
        raise unknown("target", target, GOALS)
    return GOALS[target]
