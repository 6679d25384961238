"""Writing the page of a bundle."""

import base64
import hashlib
import html
import json
import re
import shutil
from pathlib import Path
from typing import Any

from ...tasks.registry import get_task
from ..artifact.metadata import Metadata
from ..formats import FORMATS
from .packages import FOLDER, WEB, packages_for

PAGE = "index.html"
PARTS = ("sw.js", *(f"page/{name}" for name in ("engines.js", "outputs.js", "page.css", "page.js", "pixels.js")))
"""Files that are the same in every bundle."""
SHOWN = ("onnx-fp32", "tflite-int8-float")
"""Formats that the page runs."""
COLORS = (1, 3)
"""Channels of images that browsers have."""
CDN = "https://cdn.jsdelivr.net/npm/"
HELPER = "@litertjs/wasm-utils"
"""Package that LiteRT.js imports."""
VERSION_LENGTH = 16
"""Hexadecimal digits of a hash in addresses."""


def page_refusal(metadata: Metadata) -> str | None:
    """Why there is no page for a model with one image and one output; None if there is one."""
    channels = metadata.image_shape[-1]
    return (
        None if channels in COLORS else f"pictures in browsers are grayscale or RGB, and it takes {channels} channels"
    )


def write_page(folder: Path, metadata: Metadata) -> list[str]:
    """Write the page for the artifacts in `folder`, and return the names of its files, with those of the packages.

    Args:
        folder: The bundle.
        metadata: The metadata of one of its artifacts.
    """
    (folder / PAGE).write_text(render_page(folder, metadata), encoding="utf-8", newline="\n")
    (folder / "page").mkdir(exist_ok=True)
    for part in PARTS:
        shutil.copyfile(WEB / part, folder / part)
    packages = sorted(path for path in (folder / FOLDER).rglob("*") if path.is_file())
    return [PAGE, *PARTS, *(path.relative_to(folder).as_posix() for path in packages)]


def render_page(folder: Path, metadata: Metadata) -> str:
    """Render `index.html` for the artifacts of one model in `folder`; packages that are there replace the CDN.

    Args:
        folder: The bundle.
        metadata: The metadata of one of its artifacts.
    """
    bundle = _facts(folder, metadata)
    bundle["version"] = _hash(json.dumps(bundle).encode(), *((WEB / name).read_bytes() for name in (PAGE, *PARTS)))
    modules = _modules(bundle)
    fields = {
        "title": html.escape(metadata.model),
        "policy": html.escape(_policy(bundle, modules)),
        "bundle": json.dumps(bundle).replace("<", "\\u003c"),  # a label could otherwise close the surrounding script
        "modules": modules,
        "version": bundle["version"],
    }
    return re.sub(r"\{\{(.+?)\}\}", lambda match: fields[match[1]], (WEB / PAGE).read_text(encoding="utf-8"))


def _facts(folder: Path, metadata: Metadata) -> dict[str, Any]:
    """What the page knows of the model and of the files beside it."""
    names = [f"{metadata.model}{FORMATS[name].file_ending}" for name in SHOWN]
    contents = {name: (folder / name).read_bytes() for name in names if (folder / name).exists()}
    task = get_task(metadata.task)
    fields = {"model", "task", "labels", "image_shape", "pixel_range", "from_logits"}
    return metadata.model_dump(mode="json", include=fields) | {
        "figure": task.figure_name,
        "activation": task.activation,
        "compares_images": task.compares_images,
        "places": task.place_names,
        "files": [{"name": n, "bytes": len(content), "version": _hash(content)} for n, content in contents.items()],
        "packages": packages_for({Path(name).suffix for name in contents}),
        "vendored": (folder / FOLDER).exists(),
    }


def _hash(*contents: bytes) -> str:
    return hashlib.sha256(b"".join(contents)).hexdigest()[:VERSION_LENGTH]


def _modules(bundle: dict[str, Any]) -> str:
    """The table by which browsers find modules: scripts of this version, the helper package of LiteRT.js, which it
    imports by its bare name, and the hashes of modules in packages, which browsers compare."""
    scripts = [part for part in PARTS if part.startswith("page/") and part.endswith(".js")]
    imports = {f"./{script}": f"./{script}?v={bundle['version']}" for script in scripts}
    scopes: dict[str, dict[str, str]] = {}
    integrity: dict[str, str] = {}
    for place in (f"./{FOLDER}/",) if bundle["vendored"] else ("./node_modules/", CDN):
        folders = {
            name: f"{place}{name}{'@' + package['version'] if place == CDN else ''}/"
            for name, package in bundle["packages"].items()
        }
        if HELPER in folders:
            scopes[f"{place}@litertjs/"] = {HELPER: f"{folders[HELPER]}dist/index.js"}
        integrity |= {
            folder + file: sha
            for name, folder in folders.items()
            for file, sha in bundle["packages"][name]["files"].items()
            if file.startswith("dist/") and file.endswith((".js", ".mjs"))
        }
    return json.dumps({"imports": imports, "scopes": scopes, "integrity": integrity})


def _policy(bundle: dict[str, Any], modules: str) -> str:
    """The content security policy: nothing from elsewhere, but for packages that are not beside the page; no inline
    code."""
    table = base64.b64encode(hashlib.sha256(modules.encode()).digest()).decode()
    names = () if bundle["vendored"] else bundle["packages"].items()
    packages = "".join(f" {CDN}{name}@{package['version']}/" for name, package in names)
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' 'wasm-unsafe-eval' 'sha256-{table}'{packages}",
            "style-src 'self'",
            "img-src 'self' blob: data:",
            f"connect-src 'self'{packages}",
            "worker-src 'self'",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
