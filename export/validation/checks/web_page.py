"""The page that runs a bundle's artifacts in browsers, written beside them."""

import html
import json
import re
from pathlib import Path

from ...artifact.manifest import Check, Gate
from ...artifact.metadata import Metadata
from ...formats import FORMATS
from ...tflite_schema.nodes import tflite_nodes
from .subject import Subject

PAGE = "index.html"
SHOWN = ("onnx-fp32", "tflite-int8-float")
"""Formats that the page runs."""
PACKAGES = {"onnxruntime-web": "1.30.0", "@litertjs/core": "2.5.3"}
"""Of npm, that the page runs them with, and the versions that it is written for."""
INSTALL = f"npm install {' '.join(f'{name}@{version}' for name, version in PACKAGES.items())}"
TEMPLATE = Path(__file__).parents[2] / "web" / PAGE
MOST_CONCATENATED = 7
"""Inputs of one concatenation: with more the answers on WebGPU are wrong, and nothing says so."""


def written(subject: Subject) -> Check:
    """Writes the page, for what lies beside it now."""
    folder = subject.path.parent
    (folder / PAGE).write_text(page(folder, subject.metadata), encoding="utf-8")
    gate = Gate.measured("joined at once", most_concatenated(subject.path), "<=", MOST_CONCATENATED)
    return Check(name="web page", gates=(gate,), facts={"without a CDN": INSTALL}, files=(PAGE,))


def page(folder: Path, metadata: Metadata) -> str:
    """The page for the artifacts of a model that are in `folder`.

    Args:
        folder: Of a bundle.
        metadata: What one of them says of itself.
    """
    names = [f"{metadata.model}{FORMATS[name].file_ending}" for name in SHOWN]
    files = [{"name": name, "bytes": (folder / name).stat().st_size} for name in names if (folder / name).exists()]
    bundle = metadata.model_dump(mode="json", include={"model", "task", "labels", "image_shape"}) | {"files": files}
    filled = {
        "title": html.escape(metadata.model),
        "bundle": json.dumps(bundle).replace("<", "\\u003c"),  # a label could end the script that this stands in
        **PACKAGES,
    }
    return re.sub(r"\{\{(.+?)\}\}", lambda place: filled[place[1]], TEMPLATE.read_text(encoding="utf-8"))


def most_concatenated(path: Path) -> int:
    """The most inputs that any concatenation has in a `.tflite` or `.onnx` file; 0 where there is none."""
    if path.suffix == ".tflite":
        joins = (len(n.inputs) for n in tflite_nodes(path.read_bytes()) if n.operator == "CONCATENATION")
    else:
        import onnx

        graph = onnx.load(path, load_external_data=False).graph
        joins = (len(node.input) for node in graph.node if node.op_type == "Concat")
    return max(joins, default=0)
