"""Which packages a page has, from where, and what its policy permits."""

import base64
import hashlib
import html
import json
import re

import pytest
from support.client_programs import NODE_MODULES
from support.small_net import small_net

from pocketzoo import export
from pocketzoo.core.errors import InputError
from pocketzoo.export.artifact.metadata import Metadata
from pocketzoo.export.runtimes.browser import find_browser
from pocketzoo.export.validation.checks.browser import CHROMIUM
from pocketzoo.export.web.packages import INSTALL, PACKAGES, WEB, check_packages
from pocketzoo.export.web.page import PARTS, page_refusal, render_page, write_page

needs_packages = pytest.mark.skipif(not NODE_MODULES.exists(), reason="no packages: make build/node/installed")


def policy_of(page):
    """The directives of the page's policy by name."""
    text = html.unescape(re.search(r'Content-Security-Policy" content="(.*?)"', page)[1])
    return {name: sources for name, *sources in map(str.split, text.split("; "))}


@pytest.fixture
def metadata():
    fields = {"model": "net", "labels": ("a", "b"), "image_shape": (8, 8, 3), "mean": None, "scale": None}
    return Metadata(weights_sha256="0", **fields)


@pytest.fixture
def folder(tmp_path):
    """A bundle whose artifacts are empty."""
    for ending in ("-fp32.onnx", "-int8-float.tflite"):
        (tmp_path / f"net{ending}").write_bytes(b"")
    return tmp_path


def test_page_has_no_inline_code_and_a_policy_that_permits_none(folder, metadata):
    page = render_page(folder, metadata)
    inline = re.findall(r'<script type="([^"]*)"[^>]*>([^<]+)</script>', page)
    assert [kind for kind, _ in inline] == ["application/json", "importmap"]
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page)
    policy = policy_of(page)
    table = base64.b64encode(hashlib.sha256(inline[1][1].encode()).digest()).decode()
    assert policy["script-src"][:3] == ["'self'", "'wasm-unsafe-eval'", f"'sha256-{table}'"]
    assert policy["style-src"] == ["'self'"]
    assert [policy[name] for name in ("default-src", "object-src", "base-uri", "form-action")] == [["'none'"]] * 4
    assert "unsafe-inline" not in page
    assert "'unsafe-eval'" not in page


def test_packages_come_from_a_cdn_in_one_version_or_from_the_bundle_alone(folder, metadata):
    addresses = [f"https://cdn.jsdelivr.net/npm/{name}@{each['version']}/" for name, each in PACKAGES.items()]
    policy = policy_of(render_page(folder, metadata))
    assert policy["script-src"][3:] == policy["connect-src"][1:] == addresses
    (folder / "packages").mkdir()
    vendored = render_page(folder, metadata)
    assert "https:" not in vendored
    assert policy_of(vendored)["connect-src"] == ["'self'"]


def test_page_without_an_artifact_of_a_package_does_not_mention_it(folder, metadata):
    (folder / "net-int8-float.tflite").unlink()
    assert "litertjs" not in render_page(folder, metadata)


def test_version_changes_with_the_model_the_labels_and_the_packages(folder, metadata):
    def version():
        return re.search(r"page/page\.js\?v=(\w{16})", render_page(folder, metadata))[1]

    seen = [version()]
    assert version() == seen[0]
    (folder / "net-fp32.onnx").write_bytes(b"another")
    seen.append(version())
    metadata = metadata.model_copy(update={"labels": ("b", "a")})
    seen.append(version())
    (folder / "packages").mkdir()
    seen.append(version())
    assert len(set(seen)) == 4


def test_service_worker_keeps_all_parts_of_the_page(folder, metadata):
    named = re.search(r"const PARTS = \[(.*?)\]", (WEB / "sw.js").read_text())[1]
    assert {f"page/{name}" for name in re.findall(r'"([^"]+)"', named)} == set(PARTS) - {"sw.js"}
    assert write_page(folder, metadata) == ["index.html", *PARTS]
    assert all((folder / name).read_text() for name in ("index.html", *PARTS))


def test_images_that_browsers_do_not_have_are_refused_in_words(metadata):
    assert page_refusal(metadata) is None
    metadata = metadata.model_copy(update={"image_shape": (8, 8, 4)})
    assert page_refusal(metadata) == "pictures in browsers are grayscale or RGB, and it takes 4 channels"


@needs_packages
def test_hashes_are_those_of_the_packages():
    assert check_packages(NODE_MODULES) == check_packages(NODE_MODULES.parent) == NODE_MODULES


@needs_packages
def test_export_copies_the_packages_and_lists_them(tmp_path, monkeypatch):
    """Those in the bundle are also what its checks run."""
    monkeypatch.setenv("POCKETZOO_NODE_MODULES", str(tmp_path / "nowhere"))
    out = tmp_path / "bundle"
    manifest = export.export_model(small_net(), out, targets="web", vendor=NODE_MODULES.parent)
    (check,) = [check for check in manifest.artifacts[0].checks if check.name == "web page"]
    in_browser = [check for check in manifest.artifacts[0].checks if check.name.startswith("Chromium")]
    assert len(in_browser) == 2
    assert {check.skipped for check in in_browser} == ({None} if find_browser() else {CHROMIUM.sentence})
    files = [file for file in check.files if file.startswith("packages/")]
    used = PACKAGES["onnxruntime-web"]["files"]
    assert files == sorted(f"packages/onnxruntime-web/{name}" for name in (*used, "LICENSE.txt"))
    assert check.facts == {"packages": "onnxruntime-web 1.30.0"}
    assert "Microsoft" in (out / "packages/onnxruntime-web/LICENSE.txt").read_text()
    assert {path.relative_to(out).as_posix() for path in (out / "packages").rglob("*") if path.is_file()} == set(files)
    assert "`packages/`: web page, made from `small_net-fp32.onnx`. Copy this folder" in (out / "README.md").read_text()
    assert "cdn.jsdelivr.net" not in (out / "README.md").read_text().partition("## Input")[0]
    told = json.loads(re.search(r'id="bundle">(.*?)</script>', (out / "index.html").read_text())[1])
    assert told["files"][0]["version"] == manifest.artifacts[0].sha256[:16]


def test_vendor_without_the_packages_is_refused_with_the_command_that_installs_them(tmp_path):
    with pytest.raises(InputError) as caught:
        export.export_model(small_net(), tmp_path / "bundle", targets="web", vendor=tmp_path / "app/node_modules")
    assert str(caught.value) == (
        f"{tmp_path}/app/node_modules does not have dist/ort.wasm.min.mjs of onnxruntime-web 1.30.0, which the web "
        f"page needs: run `{INSTALL} --prefix {tmp_path}/app`."
    )
    with pytest.raises(InputError, match="target web has, not mobile-gpu; add web"):
        export.export_model(small_net(), tmp_path / "bundle", targets="mobile-gpu", vendor=tmp_path)


@needs_packages
def test_package_that_was_changed_is_refused(tmp_path):
    for name, package in PACKAGES.items():
        for file in package["files"]:
            (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / file).symlink_to(NODE_MODULES / name / file)
    assert check_packages(tmp_path) == tmp_path
    changed = tmp_path / "@litertjs/core/dist/index.js"
    content = changed.read_bytes()
    changed.unlink()
    changed.write_bytes(content + b" ")
    with pytest.raises(InputError, match=r"does not have dist/index.js of @litertjs/core 2\.5\.3"):
        check_packages(tmp_path)
