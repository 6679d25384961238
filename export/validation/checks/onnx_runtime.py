"""ONNX Runtime on the CPU and on NVIDIA GPUs."""

from functools import partial
from importlib.metadata import version

from ....core.output_capture import suppress_output
from ...artifact.artifact import Artifact
from ...artifact.manifest import Check, Gate
from ...loading import open_with
from ...runtimes.onnx_runtime import NoProviderError, has_provider, open_onnx, write_ort_format
from ...tflite_schema.layer_names import layers_of
from ..comparison import validate_artifact
from .artifact_check import ArtifactCheck, Requirement, Subject

TITLE, ORT_TITLE = "ONNX Runtime", "ONNX Runtime, ORT format"
CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"


def run_on_cpu(subject: Subject) -> Check:
    """Validate with ONNX Runtime's own CPU kernels."""
    artifact = open_with(open_onnx, subject.path)
    check = validate_artifact(TITLE, version("onnxruntime"), artifact, subject.format, subject.reference)
    if all(tensor.dtype != "uint8" for tensor in artifact.inputs.values()):
        return check
    return check.model_copy(update={"gates": (*check.gates, _saturation_gate(subject, artifact))})


def _saturation_gate(subject: Subject, artifact: Artifact) -> Gate:
    """Gate on the error on x86 processors without VNNI, which this one may have; skipped where it is too large.

    Errors below those of weights of 7 bits count as none. Integers that were trained cannot be changed to such that do
    not saturate.
    """
    import onnx

    from ...conversion.onnx.saturation import saturating_nodes

    tensors = artifact.inputs.values()
    inputs = (
        {tensor.name: tensor.from_real(value[None]) for tensor, value in zip(tensors, values, strict=True)}
        for values in subject.reference.samples.values()
    )
    errors = saturating_nodes(onnx.load(subject.path), inputs)
    gate = Gate.measured("saturation without VNNI", max(errors.values(), default=0.0), "<=", 0.0)
    if not errors:
        return gate
    worst = max(errors, key=errors.__getitem__)
    layer = " + ".join(layers_of(worst)) or worst
    reason = f"{layer} is {errors[worst]:.0%} off on x86 processors with AVX2 and without VNNI; run the file on others"
    return gate.model_copy(update={"status": "skipped", "reason": reason})


def run_in_ort_format(subject: Subject) -> Check:
    """Convert to the format that ONNX Runtime's builds for phones can be reduced to, which is kept, and validate it."""
    ort_file = write_ort_format(subject.path)
    artifact = open_with(open_onnx, ort_file)
    check = validate_artifact(ORT_TITLE, version("onnxruntime"), artifact, subject.format, subject.reference)
    return check.model_copy(update={"files": (ort_file.name,)})


def run_on_gpu(title: str, provider: str, subject: Subject) -> Check:
    """Validate with a GPU execution provider; skipped where it does not start."""
    import onnxruntime

    try:
        with suppress_output():
            artifact = open_onnx(subject.path, subject.path.read_bytes(), provider=provider)
    except NoProviderError as error:
        return Check(name=title, version=onnxruntime.__version__, skipped=f"{provider}: {error}")
    return validate_artifact(title, onnxruntime.__version__, artifact, subject.format, subject.reference)


def _gpu_check(name: str, library: str, provider: str) -> ArtifactCheck:
    title = f"{TITLE} with {library}"
    requirement = Requirement(f"{library} for {TITLE}", "pip install onnxruntime-gpu", partial(has_provider, provider))
    # An installed provider may still not start, so the check reports the reason itself.
    return ArtifactCheck(
        name, title, partial(run_on_gpu, title, provider), (requirement,), runs_partly=True, named_tensors=True
    )


CHECKS = (
    ArtifactCheck("onnxruntime", TITLE, run_on_cpu, named_tensors=True),
    ArtifactCheck("ort-format", ORT_TITLE, run_in_ort_format, named_tensors=True),
    _gpu_check("onnxruntime-cuda", "CUDA", CUDA),
    _gpu_check("onnxruntime-tensorrt", "TensorRT", TENSORRT),
)
