"""LiteRT, as phones have it."""

from importlib.metadata import version

from ..artifact import open_with
from ..manifest import Check
from ..proof import prove
from ..runtimes.litert import open_tflite
from .subject import Subject


def with_xnnpack(subject: Subject) -> Check:
    """With XNNPACK, the default."""
    return _check("LiteRT", subject, xnnpack=True)


def with_builtin_kernels(subject: Subject) -> Check:
    """With its own kernels, which it takes where XNNPACK is not built in."""
    return _check("LiteRT without XNNPACK", subject, xnnpack=False)


def _check(name: str, subject: Subject, *, xnnpack: bool) -> Check:
    artifact = open_with(open_tflite, subject.path, xnnpack=xnnpack)
    return prove(name, version("ai-edge-litert"), artifact, subject.kind, subject.reference)
