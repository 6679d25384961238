"""A model repository for Triton Inference Server, written beside the ONNX files."""

from importlib.metadata import version

from ...artifact.manifest import Check
from ...loading import open_with
from ...runtimes.onnx_runtime import open_onnx
from ...triton import write_model
from ..batches import MAX_BATCH, batch_gate
from .artifact_check import ArtifactCheck, Subject

TITLE = "Triton model repository"


def write_repository(subject: Subject) -> Check:
    """Write the model's folder, and run several images as Triton does: at once, where the batch is open.

    Triton itself is not run; its backend for ONNX files is ONNX Runtime.
    """
    files = write_model(open_with(open_onnx, subject.path), MAX_BATCH)
    artifact = open_with(open_onnx, files[-1])
    gate = batch_gate(artifact, subject.format, subject.reference)
    names = tuple(file.relative_to(subject.path.parent).as_posix() for file in files)
    return Check(name=TITLE, version=f"ONNX Runtime {version('onnxruntime')}", gates=(gate,), files=names)


CHECKS = (ArtifactCheck("triton", TITLE, write_repository, timed=False, named_tensors=True),)
