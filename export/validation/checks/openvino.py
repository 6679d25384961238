"""OpenVINO on the CPU, from the ONNX file."""

from importlib.metadata import version

from ...artifact.manifest import Check
from ...latency import quick_benchmark
from ...loading import open_with
from ...runtimes.openvino import FLOAT32, default_precision, open_ir, write_ir
from ..comparison import SECONDS, validate_artifact
from ..reduced_precision import validate_reduced_precision
from .artifact_check import ArtifactCheck, Subject, requires_module

TITLE, FLOAT32_TITLE = "OpenVINO", "OpenVINO in float32"
REQUIREMENT = requires_module("openvino", "openvino", "openvino")


def run_by_default(subject: Subject) -> Check:
    """Convert to OpenVINO's own format, which is kept beside the ONNX file, and validate as it runs by default.

    Where the CPU has bfloat16 or float16 units, OpenVINO computes in these unless it is configured otherwise. It takes
    as many threads as it wants, except for the latency.
    """
    xml = write_ir(subject.path)
    precision, release = default_precision(), version("openvino")
    artifact = open_with(open_ir, xml, precision=precision, threads=None)
    median_ms = quick_benchmark(open_with(open_ir, xml, precision=precision)).median_ms
    if precision == FLOAT32:
        check = validate_artifact(TITLE, release, artifact, subject.format, subject.reference, timed=False)
        check = check.model_copy(update={"median_ms": median_ms})
    else:
        check = validate_reduced_precision(
            TITLE,
            release,
            artifact,
            subject,
            precision=precision,
            seconds=SECONDS,
            explain=lambda: f"{precision} is the default of this CPU; INFERENCE_PRECISION_HINT={FLOAT32} is float32",
            median_ms=median_ms,
        )
    files = (xml, xml.with_suffix(".bin"))
    facts = check.facts | {"precision": precision, "bytes of weights": files[1].stat().st_size}
    return check.model_copy(update={"files": tuple(file.name for file in files), "facts": facts})


def run_in_float32(subject: Subject) -> Check:
    """Validate the same files with float32 arithmetic, in which they must equal the Keras model."""
    if not REQUIREMENT.is_met():
        return Check(name=FLOAT32_TITLE, skipped=f"{REQUIREMENT.name} is not installed: {REQUIREMENT.install}")
    artifact = open_with(open_ir, subject.path.with_suffix(".xml"), precision=FLOAT32)
    return validate_artifact(FLOAT32_TITLE, version("openvino"), artifact, subject.format, subject.reference)


CHECKS = (
    ArtifactCheck("openvino", TITLE, run_by_default, (REQUIREMENT,), named_tensors=True),
    # Without a requirement, so that what is missing for the target is listed once.
    ArtifactCheck("openvino-float32", FLOAT32_TITLE, run_in_float32, named_tensors=True),
)
