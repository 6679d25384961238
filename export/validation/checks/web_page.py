"""The page that runs a bundle's artifacts in browsers, written beside them."""

from pathlib import Path

from ...artifact.manifest import Check, Gate
from ...tflite_schema.nodes import tflite_nodes
from ...web.packages import FOLDER, INSTALL, VERSIONS
from ...web.page import page_refusal, write_page
from .artifact_check import ArtifactCheck, Subject

TITLE = "web page"
MAX_CONCATENATED = 7
"""Inputs of one concatenation: with more, outputs on WebGPU are wrong without any error."""


def check_page(subject: Subject) -> Check:
    """Write the page for the artifacts that are beside it now."""
    folder, reason = subject.path.parent, page_refusal(subject.metadata)
    if reason is not None:
        return Check(name=TITLE, skipped=reason)
    files = write_page(folder, subject.metadata)
    gate = Gate.measured("concatenation inputs", largest_concatenation(subject.path), "<=", MAX_CONCATENATED)
    copied = ", ".join(f"{name} {version}" for name, version in VERSIONS.items() if (folder / FOLDER / name).exists())
    facts: dict[str, float | int | str] = {"packages": copied} if copied else {"without a CDN": INSTALL}
    return Check(name=TITLE, gates=(gate,), facts=facts, files=tuple(files))


def largest_concatenation(path: Path) -> int:
    """Largest number of inputs of a concatenation in a `.tflite` or `.onnx` file; 0 where there is none."""
    if path.suffix == ".tflite":
        sizes = [len(node.inputs) for node in tflite_nodes(path.read_bytes()) if node.operator == "CONCATENATION"]
    else:
        from ...conversion.onnx.onnx_nodes import concatenation_sizes

        sizes = concatenation_sizes(path)
    return max(sizes, default=0)


CHECKS = (ArtifactCheck("web-page", TITLE, check_page),)
