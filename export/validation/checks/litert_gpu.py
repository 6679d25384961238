"""LiteRT on the GPU, as phones have it."""

from importlib.metadata import version

from ...artifact.manifest import Check, Gate
from ...runtimes.litert_gpu import GpuError, NoGpuError, run_on_gpu
from ...tflite_schema.operator_support import in_few_words, operator_list
from ..comparison import judge
from .budget import within_tolerance
from .subject import Subject

NAME = "LiteRT on the GPU"
REFUSED = "operators refused"


def on_gpu(subject: Subject) -> Check:
    """By the delegate's published list of operators, and on the GPU itself, or one in software, where there is any."""
    refused = _refused(subject)
    release, reference = version("ai-edge-litert"), subject.reference.mixed()
    try:
        run = run_on_gpu(subject.path, reference.samples.images)
    except NoGpuError:
        reason = "there is no GPU, nor Chromium, which brings one in software: apt install chromium"
        return Check(name=NAME, version=release, skipped=reason, gates=(refused,))
    except GpuError as error:
        return Check(name=NAME, version=release, gates=(refused, _accelerated(0, str(error))))
    answered = reference.first(len(run.outputs))
    check = judge(NAME, release, run.outputs, subject.kind, answered, median_ms=run.median_ms)
    gates = (refused, _accelerated(int(run.fully_accelerated)), *check.gates)
    facts = check.facts | {"images": len(run.outputs), "device": run.device}
    return check.model_copy(update={"gates": gates, "facts": facts})


def _refused(subject: Subject) -> Gate:
    refused = list(operator_list("gpu_delegate").refused(subject.path.read_bytes()))
    return within_tolerance(subject, "operators_refused", REFUSED, len(refused), in_few_words(refused))


def _accelerated(figure: int, reason: str | None = None) -> Gate:
    return Gate.measured("fully accelerated", figure, ">=", 1, reason)
