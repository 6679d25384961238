"""Artifacts that a target needs with other operators are validated in that form too."""

from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from ...artifact.manifest import Check
from ...artifact.tflite_embedding import append_labels_of
from ...graph_rewrites.rewrite_registry import rewrite_graph
from ...loading import open_with
from ...runtimes.litert import open_tflite
from ..comparison import compare_artifact
from .artifact_check import Subject


def rewrite_artifact(subject: Subject, runtime: str) -> bytes:
    """The artifact with the operators that `runtime`, a name in `graph_rewrites`, needs; unchanged if it has them."""
    content = subject.path.read_bytes()
    rewritten = rewrite_graph(content, runtime)
    return rewritten if rewritten is content else append_labels_of(content, rewritten)


def validate_rewritten(content: bytes, subject: Subject) -> Check:
    """Validate a rewritten artifact with LiteRT; without gates if it is the artifact, which is validated anyway."""
    name = "LiteRT"
    if content == subject.path.read_bytes():
        return Check(name=name)
    with TemporaryDirectory() as folder:
        path = Path(folder, subject.path.name)
        path.write_bytes(content)
        comparison = compare_artifact(open_with(open_tflite, path), subject.reference)
    return comparison.check(name, version("ai-edge-litert"), subject.format)
