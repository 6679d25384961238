"""Core ML: the program of a package, evaluated on any system, and the package in Core ML itself on macOS."""

import platform
import sys
from importlib.metadata import version
from typing import Any

from ....core.errors import InputError
from ...artifact.manifest import Check
from ...latency import quick_benchmark
from ...loading import open_with
from ...runtimes.core_ml import UnknownOperationError, open_core_ml
from ..comparison import validate_artifact
from ..reduced_precision import validate_reduced_precision
from .artifact_check import ArtifactCheck, Requirement, Subject, requires_module

PROGRAM_TITLE, HALF_TITLE, TITLE = "Core ML program", "Core ML program in float16", "Core ML"
SECONDS = 20
"""Time for all images in the evaluation, which is slow."""
COREMLTOOLS = requires_module("coremltools", "coremltools", "apple")
ELSEWHERE = "it is a part of macOS; export on a Mac, or open the package in Xcode"
MACOS = Requirement(TITLE, ELSEWHERE, lambda: sys.platform == "darwin")


def evaluate_program(subject: Subject) -> Check:
    """Evaluate the program as it is in the package, in float32: it must be the model, up to the rounding of weights."""
    artifact = _open_program(subject)
    if isinstance(artifact, str):
        return Check(name=PROGRAM_TITLE, skipped=artifact)
    release = f"coremltools {version('coremltools')}"
    fmt, reference = subject.format, subject.reference
    return validate_artifact(PROGRAM_TITLE, release, artifact, fmt, reference, seconds=SECONDS, timed=False)


def evaluate_in_float16(subject: Subject) -> Check:
    """Evaluate it with all results rounded to float16, as Core ML computes."""
    artifact = _open_program(subject, half=True)
    if isinstance(artifact, str):
        return Check(name=HALF_TITLE, skipped=artifact)
    return validate_reduced_precision(
        HALF_TITLE,
        f"coremltools {version('coremltools')}",
        artifact,
        subject,
        precision="float16",
        seconds=SECONDS,
        explain=lambda: "the result of every operation is rounded to float16, as Core ML computes",
    )


def _open_program(subject: Subject, **options: Any) -> Any:
    """The package as an artifact that runs here, or why it cannot."""
    from ...runtimes.core_ml_program import open_program

    try:
        return open_with(open_program, subject.path, **options)
    except InputError as error:
        if isinstance(error.__cause__, UnknownOperationError):
            return str(error.__cause__)
        raise


def run_core_ml(subject: Subject) -> Check:
    """Run the package as apps do, in float16 on the processor that Core ML chooses."""
    artifact = open_with(open_core_ml, subject.path)
    return validate_reduced_precision(
        TITLE,
        f"macOS {platform.mac_ver()[0]}",
        artifact,
        subject,
        precision="float16",
        seconds=SECONDS,
        explain=lambda: "Core ML computes in float16",
        median_ms=quick_benchmark(artifact).median_ms,
    )


CHECKS = (
    # Not beside a conversion, although they measure no time: coremltools builds programs in state of the whole process.
    ArtifactCheck("coreml-program", PROGRAM_TITLE, evaluate_program, (COREMLTOOLS,), named_tensors=True),
    ArtifactCheck("coreml-float16", HALF_TITLE, evaluate_in_float16, (COREMLTOOLS,), named_tensors=True),
    ArtifactCheck("coreml", TITLE, run_core_ml, (MACOS,), named_tensors=True),
)
