"""The page that runs a bundle's artifacts in browsers, written beside them."""

import html
import json
import re
from pathlib import Path

from ....tasks.registry import get_task
from ...artifact.manifest import Check, Gate
from ...artifact.metadata import Metadata
from ...formats import FORMATS
from ...tflite_schema.nodes import tflite_nodes
from .artifact_check import ArtifactCheck, Subject

TITLE = "web page"
PAGE = "index.html"
SHOWN = ("onnx-fp32", "tflite-int8-float")
"""Formats that the page runs."""
PACKAGES = {"onnxruntime-web": "1.30.0", "@litertjs/core": "2.5.3"}
"""npm packages that the page runs them with, and the versions that it was written for."""
INSTALL = f"npm install {' '.join(f'{name}@{version}' for name, version in PACKAGES.items())}"
TEMPLATE = Path(__file__).parents[2] / "web" / PAGE
MAX_CONCATENATED = 7
"""Inputs of one concatenation: with more, outputs on WebGPU are wrong without any error."""


def write_page(subject: Subject) -> Check:
    """Write the page for the artifacts that are beside it now."""
    folder = subject.path.parent
    (folder / PAGE).write_text(render_page(folder, subject.metadata), encoding="utf-8")
    gate = Gate.measured("concatenation inputs", largest_concatenation(subject.path), "<=", MAX_CONCATENATED)
    return Check(name=TITLE, gates=(gate,), facts={"without a CDN": INSTALL}, files=(PAGE,))


def render_page(folder: Path, metadata: Metadata) -> str:
    """Render the page for the artifacts of one model in `folder`.

    Args:
        folder: The bundle.
        metadata: The metadata of one of its artifacts.
    """
    names = [f"{metadata.model}{FORMATS[name].file_ending}" for name in SHOWN]
    files = [{"name": name, "bytes": (folder / name).stat().st_size} for name in names if (folder / name).exists()]
    bundle = metadata.model_dump(mode="json", include={"model", "task", "labels", "image_shape"})
    bundle |= {"figure": get_task(metadata.task).figure_name, "files": files}
    fields = {
        "title": html.escape(metadata.model),
        "bundle": json.dumps(bundle).replace("<", "\\u003c"),  # a label could otherwise close the surrounding script
        **PACKAGES,
    }
    return re.sub(r"\{\{(.+?)\}\}", lambda match: fields[match[1]], TEMPLATE.read_text(encoding="utf-8"))


def largest_concatenation(path: Path) -> int:
    """Largest number of inputs of a concatenation in a `.tflite` or `.onnx` file; 0 where there is none."""
    if path.suffix == ".tflite":
        sizes = [len(node.inputs) for node in tflite_nodes(path.read_bytes()) if node.operator == "CONCATENATION"]
    else:
        from ...conversion.onnx.onnx_nodes import concatenation_sizes

        sizes = concatenation_sizes(path)
    return max(sizes, default=0)


CHECKS = (ArtifactCheck("web-page", TITLE, write_page),)
