"""LiteRT on the CPU, as phones run it."""

from importlib.metadata import version

from ...artifact.manifest import Check
from ...loading import open_with
from ...runtimes.litert import open_tflite
from ..comparison import validate_artifact
from .artifact_check import ArtifactCheck, Subject

TITLE, BUILTIN_TITLE = "LiteRT", "LiteRT without XNNPACK"
BUILTIN_SECONDS = 3
"""Time for all images with the built-in kernels, which are slow; all images have already run with XNNPACK."""


def run_with_xnnpack(subject: Subject) -> Check:
    """Validate with XNNPACK, the default."""
    artifact = open_with(open_tflite, subject.path)
    return validate_artifact(TITLE, version("ai-edge-litert"), artifact, subject.format, subject.reference)


def run_with_builtin_kernels(subject: Subject) -> Check:
    """Validate with the built-in kernels, which run where XNNPACK is not compiled in: outputs only, no latency."""
    artifact = open_with(open_tflite, subject.path, xnnpack=False)
    return validate_artifact(
        BUILTIN_TITLE,
        version("ai-edge-litert"),
        artifact,
        subject.format,
        subject.reference,
        seconds=BUILTIN_SECONDS,
        timed=False,
    )


CHECKS = (
    ArtifactCheck("litert", TITLE, run_with_xnnpack, named_tensors=True),
    ArtifactCheck("litert-builtin", BUILTIN_TITLE, run_with_builtin_kernels, timed=False, named_tensors=True),
)
