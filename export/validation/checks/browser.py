"""The page of a bundle in headless Chromium."""

import io
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...artifact.manifest import Check, Gate
from ...artifact.tensors import concrete_shape, to_range
from ...runtimes.browser import NO_GPU, SOFTWARE_GPU, BrowserError, browser_version, find_browser, open_page
from ...web.packages import FOLDER, INSTALL, VERSIONS, WEB
from ...web.page import PAGE, PARTS, page_refusal, render_page
from ..comparison import Comparison
from .artifact_check import ArtifactCheck, Requirement, Subject

SCRIPT = WEB / "validation.js"
MIN_IMAGES, SECONDS = 4, 3
"""On a GPU, at least so many images, and more for so many seconds: in software it takes seconds for one image."""

MAX_LEVELS = 1
"""Of 255, by which the page may read a picture otherwise than `pocketzoo predict`: sums are rounded otherwise."""


def find_packages() -> Path | None:
    """The folder `node_modules` named by `POCKETZOO_NODE_MODULES`, or in the current directory, if it has the packages
    in the versions that the page loads from the network."""
    folder = Path(os.environ.get("POCKETZOO_NODE_MODULES", "node_modules"))
    versions = {name: _package_version(folder / name / "package.json") for name in VERSIONS}
    return folder if versions == VERSIONS else None


def _package_version(package: Path) -> str | None:
    return json.loads(package.read_text(encoding="utf-8"))["version"] if package.exists() else None


def validate_page(title: str, engine: str, flags: tuple[str, ...], subject: Subject) -> Check:
    """Open the page with one of its engines, and validate the outputs that it posts back."""
    reason = page_refusal(subject.metadata) or _missing(subject.path.parent)
    if reason is not None:
        return Check(name=title, skipped=reason)
    browser, packages = find_browser(), find_packages()
    version = browser_version(browser)
    subject = replace(subject, reference=subject.reference.mixed())
    comparison, count = Comparison(subject.reference), len(subject.reference)
    least = MIN_IMAGES if flags == SOFTWARE_GPU else count  # on the CPU, thresholds on shares of many images apply
    query = f"count={count}&least={least}&seconds={SECONDS}"
    try:
        bodies = open_page(browser, f"{PAGE}?{query}#{engine}", partial(_serve, subject, packages), flags)
        result = _compare(bodies, comparison)
    except BrowserError as error:
        result = {"error": str(error)}
    if "error" in result:
        gate = Gate.measured("ran", 0, ">=", 1, result["error"])
        return Check(name=title, version=version, gates=(gate,))
    check = comparison.check(title, version, subject.format, float(np.median(result["milliseconds"])))
    pixels = Gate.measured("difference of pixels", result["levels"], "<=", MAX_LEVELS)
    facts = check.facts | {"images": comparison.images} | result["facts"]
    return check.model_copy(update={"gates": (*check.gates, pixels), "facts": facts})


def _missing(bundle: Path) -> str | None:
    """What is not installed; a bundle that has the packages of its page needs no others."""
    needed = (CHROMIUM,) if (bundle / FOLDER).exists() else REQUIREMENTS
    return next((requirement.sentence for requirement in needed if not requirement.is_met()), None)


def _compare(bodies: Iterator[bytes], comparison: Comparison) -> dict[str, Any]:
    """Compare the posted outputs one by one; returns the results that are posted at the end."""
    shape = comparison.reference.outputs.shape[1:]
    body = next(bodies)
    for following in bodies:
        comparison.add(np.frombuffer(body, "<f4").reshape(1, *shape))
        body = following
    return json.loads(body)


def _serve(subject: Subject, packages: Path | None, path: str) -> bytes | Path | None:
    """The content at a path of the server: the bundle, the packages, the images, and the page with one more script."""
    folder, _, rest = path.partition("/")
    if folder == "node_modules":
        return packages / rest if packages else None
    if folder == "values":
        image = subject.reference.samples.images[int(rest)]
        return to_range(image, subject.metadata.pixel_range).astype("<f4").tobytes()
    if folder in ("picture", "picture.png"):
        encoded, pixels = _picture(concrete_shape(subject.metadata.image_shape))
        return encoded if path.endswith(".png") else pixels.astype("<f4").tobytes()
    if path == SCRIPT.name:
        return SCRIPT
    if path == PAGE:
        return with_script(render_page(subject.path.parent, subject.metadata), SCRIPT.name).encode()
    return WEB / path if path in PARTS else subject.path.parent / path


def _picture(image_shape: tuple[int, int, int]) -> tuple[bytes, np.ndarray]:
    """A PNG of another size and shape than the model takes, partly transparent, and its pixels for the model."""
    from PIL import Image

    from ....zoo.image_files import decode_image

    height, width, channels = image_shape
    draw = np.random.default_rng(0)
    content = io.BytesIO()
    picture = draw.integers(0, 256, (height + height // 2, 3 * width + 1, 4), "uint8")
    picture[: height // 2, :, 3] = 0
    picture[height // 2 :, :, 3] = 255
    Image.fromarray(picture).save(content, "png")
    return content.getvalue(), decode_image(
        content.getvalue(), "the picture", height=height, width=width, channels=channels
    )


def with_script(page: str, name: str) -> str:
    """Return the page with a script of the same server before its own: its policy permits that."""
    own = '<script type="module" src='
    return page.replace(own, f'<script type="module" src="{name}"></script>\n{own}', 1)


CHROMIUM = Requirement("Chromium", "apt install chromium", lambda: find_browser() is not None)
REQUIREMENTS = (
    CHROMIUM,
    Requirement(
        "node_modules with the packages of the page (or POCKETZOO_NODE_MODULES)",
        INSTALL,
        lambda: find_packages() is not None,
    ),
)


def _check(name: str, title: str, engine: str, flags: tuple[str, ...]) -> ArtifactCheck:
    run: Callable[[Subject], Check] = partial(validate_page, title, engine, flags)
    return ArtifactCheck(name, title, run, REQUIREMENTS, runs_partly=True)  # with packages in the bundle


CHECKS = (
    _check("web-onnx-wasm", "Chromium, ONNX Runtime on WebAssembly", "onnx-wasm", NO_GPU),
    # Chromium's own software GPU: the same on every machine, and slow.
    _check("web-onnx-webgpu", "Chromium, ONNX Runtime on WebGPU", "onnx-webgpu", SOFTWARE_GPU),
    _check("web-litert-wasm", "Chromium, LiteRT on WebAssembly", "litert-wasm", NO_GPU),
)
