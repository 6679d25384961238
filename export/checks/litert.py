"""LiteRT, as phones have it."""

from importlib.metadata import version

from ..artifact import open_with
from ..latency import glance
from ..manifest import Check
from ..proof import judge, prove
from ..runtimes.litert import open_tflite
from .subject import Subject

LEAST_IMAGES, SECONDS = 10, 10
"""For all images together: without XNNPACK LiteRT is slow, and where one image takes long fewer are run."""


def with_xnnpack(subject: Subject) -> Check:
    """With XNNPACK, the default."""
    artifact = open_with(open_tflite, subject.path)
    return prove("LiteRT", version("ai-edge-litert"), artifact, subject.kind, subject.reference)


def with_builtin_kernels(subject: Subject) -> Check:
    """With its own kernels, which it takes where XNNPACK is not built in."""
    artifact = open_with(open_tflite, subject.path, xnnpack=False)
    median_ms = glance(artifact).median_ms
    reference = subject.reference.at_most(max(LEAST_IMAGES, int(1000 * SECONDS / median_ms)))
    outputs = artifact.run(reference.samples.images)
    check = judge(
        "LiteRT without XNNPACK", version("ai-edge-litert"), outputs, subject.kind, reference, median_ms=median_ms
    )
    return check.model_copy(update={"facts": check.facts | {"images": len(outputs)}})
