"""LiteRT, as phones have it."""

from importlib.metadata import version

from ...artifact.manifest import Check
from ...loading import open_with
from ...runtimes.litert import open_tflite
from ..comparison import prove
from .subject import Subject

SECONDS = 3
"""For all images without XNNPACK, with which they have been run already: LiteRT is slow then."""


def with_xnnpack(subject: Subject) -> Check:
    """With XNNPACK, the default."""
    artifact = open_with(open_tflite, subject.path)
    return prove("LiteRT", version("ai-edge-litert"), artifact, subject.kind, subject.reference)


def with_builtin_kernels(subject: Subject) -> Check:
    """With its own kernels, which it takes where XNNPACK is not built in; for their answers, not for their time."""
    artifact = open_with(open_tflite, subject.path, xnnpack=False)
    return prove(
        "LiteRT without XNNPACK",
        version("ai-edge-litert"),
        artifact,
        subject.kind,
        subject.reference,
        seconds=SECONDS,
        timed=False,
    )
