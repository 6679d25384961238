"""ONNX Runtime on the CPU and on NVIDIA GPUs."""

from functools import partial
from importlib.metadata import version

from ....core.output_capture import suppress_output
from ...artifact.manifest import Check
from ...loading import open_with
from ...runtimes.onnx_runtime import NoProviderError, has_provider, open_onnx
from ..comparison import validate_artifact
from .artifact_check import ArtifactCheck, Requirement, Subject

TITLE = "ONNX Runtime"
CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"


def run_on_cpu(subject: Subject) -> Check:
    """Validate with ONNX Runtime's own CPU kernels."""
    artifact = open_with(open_onnx, subject.path)
    return validate_artifact(TITLE, version("onnxruntime"), artifact, subject.format, subject.reference)


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
    return ArtifactCheck(name, title, partial(run_on_gpu, title, provider), (requirement,), runs_partly=True)


CHECKS = (
    ArtifactCheck("onnxruntime", TITLE, run_on_cpu),
    _gpu_check("onnxruntime-cuda", "CUDA", CUDA),
    _gpu_check("onnxruntime-tensorrt", "TensorRT", TENSORRT),
)
