"""ONNX Runtime, on the CPU and on graphics cards."""

from importlib.metadata import version

from ....core.output_capture import suppress_output
from ...artifact.manifest import Check
from ...loading import open_with
from ...runtimes.onnx_runtime import NoProviderError, open_onnx
from ..comparison import prove
from .subject import Subject


def on_cpu(subject: Subject) -> Check:
    """With its own kernels."""
    artifact = open_with(open_onnx, subject.path)
    return prove("ONNX Runtime", version("onnxruntime"), artifact, subject.kind, subject.reference)


def on_cuda(subject: Subject) -> Check:
    """With cuDNN's, where there is a card."""
    return _on_card("ONNX Runtime with CUDA", "CUDAExecutionProvider", subject)


def on_tensorrt(subject: Subject) -> Check:
    """With TensorRT, where there is a card."""
    return _on_card("ONNX Runtime with TensorRT", "TensorrtExecutionProvider", subject)


def _on_card(name: str, provider: str, subject: Subject) -> Check:
    import onnxruntime

    try:
        with suppress_output():
            artifact = open_onnx(subject.path, subject.path.read_bytes(), provider=provider)
    except NoProviderError as error:
        return Check(name=name, version=onnxruntime.__version__, skipped=f"{provider}: {error}")
    return prove(name, onnxruntime.__version__, artifact, subject.kind, subject.reference)
