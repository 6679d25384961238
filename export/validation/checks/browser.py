"""The page of a bundle, in headless Chromium."""

import json
import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from ...artifact.manifest import Check, Gate
from ...runtimes.browser import NO_GPU, SOFTWARE_GPU, BrowserError, browser_version, find_browser, posts
from ..comparison import judge
from .subject import Subject
from .web_page import INSTALL, PACKAGES, PAGE, page

PROOF = Path(__file__).parents[2] / "web" / "proof.js"
LEAST_IMAGES, SECONDS = 4, 3
"""So many images are run on a GPU at least, and further ones for so long: in software it takes seconds for one."""


def onnx_on_wasm(subject: Subject) -> Check:
    """ONNX Runtime on the CPU."""
    return _check("Chromium, ONNX Runtime on WebAssembly", "onnx-wasm", NO_GPU, subject)


def onnx_on_webgpu(subject: Subject) -> Check:
    """ONNX Runtime on the GPU, which is Chromium's own in software: the same everywhere, and slow."""
    return _check("Chromium, ONNX Runtime on WebGPU", "onnx-webgpu", SOFTWARE_GPU, subject)


def litert_on_wasm(subject: Subject) -> Check:
    """LiteRT on the CPU."""
    return _check("Chromium, LiteRT on WebAssembly", "litert-wasm", NO_GPU, subject)


def find_packages() -> Path | None:
    """The folder `node_modules` that `POCKETZOO_NODE_MODULES` names, or that of the current directory, if it has the
    packages in the versions that the page takes from the network."""
    folder = Path(os.environ.get("POCKETZOO_NODE_MODULES", "node_modules"))
    return folder if all(_version(folder / name / "package.json") == PACKAGES[name] for name in PACKAGES) else None


def _version(package: Path) -> str | None:
    return json.loads(package.read_text(encoding="utf-8"))["version"] if package.exists() else None


def _check(name: str, engine: str, flags: tuple[str, ...], subject: Subject) -> Check:
    browser, packages = find_browser(), find_packages()
    if browser is None:
        return Check(name=name, skipped="no Chromium is on the PATH: apt install chromium")
    if packages is None:
        reason = f"node_modules, or what POCKETZOO_NODE_MODULES names, lacks the page's packages: {INSTALL}"
        return Check(name=name, skipped=reason)
    version = browser_version(browser)
    subject = replace(subject, reference=subject.reference.mixed())
    reference = subject.reference
    count = len(reference.samples)
    least = LEAST_IMAGES if flags == SOFTWARE_GPU else count  # whose bars are on shares of many images
    query = f"count={count}&least={least}&seconds={SECONDS}"
    try:
        *answers, end = posts(browser, f"{PAGE}?{query}#{engine}", partial(_served, subject, packages), flags)
        told = json.loads(end)
    except BrowserError as error:
        told = {"error": str(error)}
    if "error" in told:
        gate = Gate.measured("ran", 0, ">=", 1, told["error"])
        return Check(name=name, version=version, gates=(gate,))
    outputs = np.stack([np.frombuffer(answer, "<f4") for answer in answers])
    reference = reference.first(len(outputs))
    outputs = outputs.reshape(reference.outputs.shape)
    median = float(np.median(told["milliseconds"]))
    check = judge(name, version, outputs, subject.kind, reference, median_ms=median)
    return check.model_copy(update={"facts": check.facts | {"images": len(outputs)} | told["facts"]})


def _served(subject: Subject, packages: Path, path: str) -> bytes | Path | None:
    """What is at a path of the server: the bundle, the packages, the images, and the page with its proof."""
    folder, _, rest = path.partition("/")
    if folder == "node_modules":
        return packages / rest
    if folder == "pixels":
        return subject.reference.samples.images[int(rest)].astype("<f4").tobytes()
    if path == PROOF.name:
        return PROOF
    if path == PAGE:
        proof = f'<script type="module" src="{PROOF.name}"></script>'
        return (page(subject.path.parent, subject.metadata) + proof).encode()
    return subject.path.parent / path
