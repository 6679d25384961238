"""ONNX Runtime, on the CPU."""

from importlib.metadata import version

from ..artifact import open_with
from ..manifest import Check
from ..proof import prove
from ..runtimes.onnx_runtime import open_onnx
from .subject import Subject


def on_cpu(subject: Subject) -> Check:
    """With its own kernels."""
    artifact = open_with(open_onnx, subject.path)
    return prove("ONNX Runtime", version("onnxruntime"), artifact, subject.kind, subject.reference)
