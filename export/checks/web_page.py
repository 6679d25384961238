"""The page that runs a bundle's artifacts in a browser, written beside them."""

import html
import json
from pathlib import Path

from ..graphs import most_inputs
from ..manifest import Check, Gate
from ..metadata import Metadata
from .subject import Subject

PAGE = "index.html"
SHOWN = ("onnx-fp32", "tflite-int8-float")
"""Formats that the page runs."""
PACKAGES = {"onnxruntime-web": "1.30.0", "@litertjs/core": "2.5.3"}
"""Of npm, which the page runs them with, and the versions that it is written for."""
INSTALL = f"npm install {' '.join(f'{name}@{version}' for name, version in PACKAGES.items())}"
TEMPLATE = Path(__file__).parents[1] / "web" / PAGE
MOST_CONCATENATED = 7
"""Inputs of one concatenation; with more, answers on WebGPU are wrong, and nothing says so."""


def written(subject: Subject) -> Check:
    """Writes the page anew, for what lies beside it now."""
    (subject.path.parent / PAGE).write_text(page(subject.path.parent, subject.metadata), encoding="utf-8")
    gate = Gate.measured("inputs of a concatenation", most_inputs(subject.path, CONCATENATIONS), "<=", MOST_CONCATENATED)
    return Check(name="web page", gates=(gate,), facts={"served with": f"{INSTALL} in its folder, or from a CDN"}, files=(PAGE,))


def page(folder: Path, metadata: Metadata) -> str:
    """The page for the artifacts of a model that are in `folder`."""
