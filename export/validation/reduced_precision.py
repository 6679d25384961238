"""Validation of a float file in the arithmetic that its users get: float16 on GPUs, bfloat16 on recent CPUs."""

from collections.abc import Callable

from ..artifact.artifact import Artifact
from ..artifact.manifest import Check, Gate
from ..formats import REDUCED_PRECISION
from .checks.artifact_check import Subject
from .comparison import compare_artifact, images_in_time, merge_checks

MAX_DIFFERENCE = 0.1
"""Largest root-mean-square difference, relative to the root-mean-square output. Rounding makes 0.01, overflow 1."""
FLOAT32_ONLY = ("distinct outputs", "relative difference")
"""Gates of a comparison that a net with random weights cannot pass: its outputs are nearly the same for all images, and
reduced precision hardly tells them apart."""


def validate_reduced_precision(
    title: str,
    release: str,
    artifact: Artifact,
    subject: Subject,
    *,
    precision: str,
    seconds: float,
    explain: Callable[[], str],
    median_ms: float | None = None,
) -> Check:
    """Compare the outputs of `artifact` in reduced precision; all files are also validated in float32.

    Gross differences and losses on labeled images fail. Agreement is reported, and judged where the user set a
    threshold.

    Args:
        title: Name of the check.
        release: Version of the runtime.
        artifact: The artifact, in a runtime that computes in reduced precision.
        subject: What is validated.
        precision: Name of the arithmetic, such as `float16`.
        seconds: Time for all images.
        explain: Computes the reason of a failure.
        median_ms: Latency of one image in milliseconds, where it is meaningful for the target.
    """
    comparison = compare_artifact(artifact, images_in_time(artifact, subject.reference, seconds, median_ms))
    decisions = {name: value for name, value in subject.thresholds.items() if name != "relative_difference"}
    fmt = REDUCED_PRECISION.with_thresholds(decisions)
    checks = {}
    for name, output in comparison.outputs.items():
        check = output.check(title, release, fmt, median_ms)
        difference = output.difference.relative_to_values
        gates = [gate for gate in check.gates if gate.name not in FLOAT32_ONLY and gate.figure is not None]
        gates.insert(1, Gate.measured(f"difference in {precision}", difference, "<=", MAX_DIFFERENCE))
        checks[name] = check.model_copy(update={"gates": tuple(gates)})
    check = merge_checks(checks)
    gates = list(check.gates)
    failed = next((number for number, gate in enumerate(gates) if gate.status == "failed"), None)
    if failed is not None:
        gates[failed] = gates[failed].model_copy(update={"reason": explain()})
    return check.model_copy(update={"gates": tuple(gates), "facts": check.facts | {"images": comparison.images}})
