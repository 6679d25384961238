"""LiteRT's GPU delegate, as phones run it."""

from importlib.metadata import version

from ...artifact.manifest import Check, Gate
from ...runtimes.browser import find_browser
from ...runtimes.litert_gpu import GpuError, NoGpuError, run_on_gpu
from ...tflite_schema.operator_support import operator_list, summarize
from ..comparison import compare_outputs
from .artifact_check import ArtifactCheck, Requirement, Subject, operator_gate

TITLE = "LiteRT on the GPU"
REFUSED = "operators refused"


def validate_on_gpu(subject: Subject) -> Check:
    """Check the delegate's published operator list, and validate on the GPU or on one emulated in software."""
    refused = _operator_list_gate(subject)
    release, reference = version("ai-edge-litert"), subject.reference.mixed()
    try:
        run = run_on_gpu(subject.path, reference.samples.images)
    except NoGpuError:
        reason = "there is no GPU, nor Chromium, which has a software GPU: apt install chromium"
        return Check(name=TITLE, version=release, skipped=reason, gates=(refused,))
    except GpuError as error:
        return Check(name=TITLE, version=release, gates=(refused, _acceleration_gate(0, str(error))))
    comparison = compare_outputs(run.outputs, reference.first(len(run.outputs)))
    check = comparison.check(TITLE, release, subject.format, run.median_ms)
    gates = (refused, _acceleration_gate(int(run.fully_accelerated)), *check.gates)
    facts = check.facts | {"images": len(run.outputs), "device": run.device}
    return check.model_copy(update={"gates": gates, "facts": facts})


def _operator_list_gate(subject: Subject) -> Gate:
    refused = list(operator_list("gpu_delegate").refused(subject.path.read_bytes()))
    return operator_gate(subject, "operators_refused", REFUSED, len(refused), summarize(refused))


def _acceleration_gate(figure: int, reason: str | None = None) -> Gate:
    return Gate.measured("fully accelerated", figure, ">=", 1, reason)


CHECKS = (
    ArtifactCheck(
        "litert-gpu",
        TITLE,
        validate_on_gpu,
        # Chromium's software GPU stands in where there is no GPU; whether there is one shows only when it is used.
        (Requirement("Chromium", "apt install chromium", lambda: find_browser() is not None),),
        runs_partly=True,
        timed=False,  # its latency is that of a GPU, which does not depend on the load of the CPU
        thresholds=("operators_refused",),
    ),
)
