import http.client
import json
import re
from dataclasses import replace

import keras
import numpy as np
import pytest
from PIL import Image

from pocketzoo import export
from pocketzoo.export.conversion.artifact_files import write_artifacts
from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.runtimes.browser import NO_GPU, BrowserError, find_browser, open_page, serving
from pocketzoo.export.sample_images import Samples
from pocketzoo.export.validation.checks import browser, web_page
from pocketzoo.export.validation.checks.artifact_check import Subject
from pocketzoo.export.validation.checks.check_registry import run_check
from pocketzoo.export.validation.reference import Reference
from pocketzoo.export.web.packages import INSTALL, VERSIONS
from pocketzoo.export.web.page import PARTS, render_page, write_page
from pocketzoo.zoo.image_files import read_image

WEB_CHECKS = {
    "Chromium, LiteRT on WebAssembly": "tflite-int8-float",
    "Chromium, ONNX Runtime on WebAssembly": "onnx-fp32",
    "Chromium, ONNX Runtime on WebGPU": "onnx-fp32",
}
needs_packages = pytest.mark.skipif(browser.find_packages() is None, reason=f"not there: {INSTALL}")
needs_chromium = pytest.mark.skipif(find_browser() is None, reason="no Chromium is on the PATH")


def bundle_of_page(text):
    return json.loads(re.search(r'<script type="application/json" id="bundle">(.*?)</script>', text, re.DOTALL)[1])


@pytest.fixture
def subject(bundle, manifest, pixels):
    images = pixels(2, 32, 32, 1)
    path = bundle / "lenet5-fp32.onnx"
    reference = Reference(Samples(images, None), "noise", export.load_artifact(path).run(images))
    return Subject(path, FORMATS["onnx-fp32"], manifest.model, reference)


@pytest.mark.parametrize("name", WEB_CHECKS)
def test_page_in_a_browser_matches_keras(manifest, name):
    record = next(record for record in manifest.artifacts if record.format == WEB_CHECKS[name])
    check = next(check for check in record.checks if check.name == name)
    if check.skipped:
        pytest.skip(check.skipped)
    assert check.status == "passed"
    assert check.facts["images"] >= 4
    assert check.agreement >= 0.98
    assert check.median_ms > 0
    assert ("gpu" in check.facts) == name.endswith("WebGPU")


def test_page_knows_the_model_and_the_files_beside_it(bundle, manifest, digits):
    page = (bundle / "index.html").read_text()
    told = bundle_of_page(page)
    assert (told["model"], told["task"], tuple(told["labels"])) == ("lenet5", "classification", digits.labels)
    assert told["image_shape"] == [32, 32, 1]
    sizes = {record.file: record.bytes for record in manifest.artifacts if "web" in record.targets}
    told_sizes = {file["name"]: file["bytes"] for file in told["files"]}
    assert told_sizes == sizes
    assert "1.30.0" in page


def test_label_cannot_break_out_of_the_page(bundle, manifest):
    label = "</script><script>alert(1)</script> {{title}}"
    metadata = manifest.model.model_copy(update={"labels": (label,), "model": "<b>net</b>"})
    page = render_page(bundle, metadata)
    assert bundle_of_page(page)["labels"] == [label]
    assert page.count("</script>") == (bundle / "index.html").read_text().count("</script>")
    assert "<title>&lt;b&gt;net&lt;/b&gt;</title>" in page


@pytest.mark.parametrize("kind", ["onnx-fp32", "tflite-fp32"])
@pytest.mark.parametrize(("parts", "status"), [(7, "passed"), (8, "failed")])
def test_eight_inputs_of_one_concatenation_are_too_many(tmp_path, subject, kind, parts, status):
    image = keras.Input((8, 8, 3))
    branches = [keras.layers.Conv2D(2, 3)(image) for _ in range(parts)]
    answer = keras.layers.GlobalAveragePooling2D()(keras.layers.Concatenate()(branches))
    form = ExportGraph.from_model(keras.Model(image, answer, name="net"))
    ((path, _),) = write_artifacts(form, [FORMATS[kind]], None, tmp_path)
    check = web_page.check_page(Subject(path, FORMATS[kind], form.metadata, subject.reference))
    assert (check.status, check.gates[0].figure, check.files) == (status, parts, ("index.html", *PARTS))


def test_int8_artifact_for_browsers_has_float_input_and_output(bundle):
    floats = export.load_artifact(bundle / "lenet5-int8-float.tflite")
    integers = export.load_artifact(bundle / "lenet5-int8.tflite")
    assert (floats.input.dtype, floats.output.dtype) == ("float32", "float32")
    images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 1))
    assert np.array_equal(floats.run(images), integers.run(images))


def test_missing_chromium_or_packages_are_skipped_with_the_install_command(subject, tmp_path, monkeypatch):
    monkeypatch.setenv("POCKETZOO_NODE_MODULES", str(tmp_path))
    monkeypatch.setattr(browser, "find_browser", lambda: "chromium")
    check = run_check("web-onnx-wasm", subject)
    assert check.status == "skipped"
    assert "npm install onnxruntime-web@1.30.0 @litertjs/core@2.5.3" in check.skipped
    monkeypatch.setattr(browser, "find_browser", lambda: None)
    assert "apt install chromium" in run_check("web-onnx-wasm", subject).skipped


def test_packages_of_other_versions_are_not_used(tmp_path, monkeypatch):
    for name, version in VERSIONS.items():
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "package.json").write_text(json.dumps({"version": version}))
    monkeypatch.setenv("POCKETZOO_NODE_MODULES", str(tmp_path))
    assert browser.find_packages() == tmp_path
    (tmp_path / "onnxruntime-web" / "package.json").write_text('{"version": "1.0.0"}')
    assert browser.find_packages() is None


def test_program_that_does_not_start_is_not_a_browser(tmp_path, monkeypatch):
    """Ubuntu's script of that name only recommends a snap."""
    stub = tmp_path / "chromium"
    stub.write_text("#!/bin/sh\necho 'snap install chromium' >&2; exit 1")
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_browser() is None


@needs_chromium
@needs_packages
def test_page_that_runs_another_engine_fails(subject, tmp_path):
    """Without the file of an engine, the page selects the first that has one."""
    (tmp_path / subject.path.name).write_bytes(subject.path.read_bytes())
    (gate,) = run_check("web-litert-wasm", replace(subject, path=tmp_path / subject.path.name)).gates
    assert (gate.name, gate.status, gate.reason) == ("ran", "failed", "the page selected onnx-wasm")


@needs_chromium
@needs_packages
def test_file_that_the_page_cannot_open_fails_with_its_error(subject, tmp_path):
    (tmp_path / subject.path.name).write_bytes(subject.path.read_bytes()[:1000])
    broken = Subject(tmp_path / subject.path.name, subject.format, subject.metadata, subject.reference)
    check = run_check("web-onnx-wasm", broken)
    (gate,) = check.gates
    assert (gate.name, gate.status) == ("ran", "failed")
    assert "Failed to load model" in gate.reason


PIXELS_OF = """
await new Promise(resolve => addEventListener("load", resolve));
for (const name of NAMES) {
  const picture = await createImageBitmap(await (await fetch(name)).blob());
  await fetch("pixels", {method: "POST", body: window.pocketzoo.pixelsOf(picture)});
}
await fetch("end", {method: "POST", body: "end"});
"""


def page_with(folder, script):
    """The page in a folder, with one more script, by path."""
    page = browser.with_script((folder / "index.html").read_text(), "script.js")
    return {"index.html": page.encode(), "script.js": script.encode()}


@needs_chromium
@pytest.mark.parametrize("channels", [1, 3])
def test_page_reads_images_as_predict_does(tmp_path, manifest, channels):
    """Larger, smaller, elongated and transparent images; not JPEG, whose decoders differ."""
    draw = np.random.default_rng(0)
    sizes = {"large.png": (150, 90, 3), "small.png": (9, 13, 3), "long.png": (16, 200, 3), "clear.png": (60, 60, 4)}
    for name, size in sizes.items():
        Image.fromarray(draw.integers(0, 256, size).astype("uint8")).save(tmp_path / name)
    (tmp_path / "lenet5-fp32.onnx").write_bytes(b"")  # the page selects one of its files, which cannot be opened
    metadata = manifest.model.model_copy(update={"image_shape": (24, 40, channels)})
    write_page(tmp_path, metadata)
    served = page_with(tmp_path, PIXELS_OF.replace("NAMES", json.dumps(list(sizes))))
    *answers, _ = open_page(find_browser(), "index.html", lambda path: served.get(path, tmp_path / path), NO_GPU)
    for name, answer in zip(sizes, answers, strict=True):
        seen = np.frombuffer(answer, "float32").reshape(24, 40, channels)
        read = read_image(tmp_path / name, height=24, width=40, channels=channels)
        assert np.abs(seen - read).max() <= 1, name


WATCH = """
await new Promise(resolve => addEventListener("load", resolve));
const camera = document.getElementById("camera");
camera.click();
while (!document.getElementById("timing").textContent.includes("last 3")) await new Promise(requestAnimationFrame);
camera.click();
const seen = document.querySelectorAll("#output li").length;
await fetch("end", {method: "POST", body: JSON.stringify({seen, offers: camera.textContent})});
"""


@needs_chromium
@needs_packages
def test_page_predicts_on_the_camera_until_it_is_stopped(bundle):
    own = page_with(bundle, WATCH)
    packages = browser.find_packages()

    def served(path):
        folder, _, rest = path.partition("/")
        return own.get(path) or (packages / rest if folder == "node_modules" else bundle / path)

    flags = (*NO_GPU, "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    (told,) = open_page(find_browser(), "index.html", served, flags)
    assert json.loads(told) == {"seen": 5, "offers": "Use the camera"}


def test_browser_that_exits_raises():
    with pytest.raises(BrowserError, match="the browser exited with code 1"):
        next(open_page("/bin/false", "page.html", lambda path: None, ()))


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("my%20net.onnx", 200),
        ("none", 404),
        ("../secret", 404),
        ("%2e%2e/secret", 404),
        ("%2F{root}/secret", 404),
        ("node_modules/%2F{root}/secret", 404),
    ],
)
def test_nothing_outside_the_bundle_is_served(tmp_path, path, status):
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "my net.onnx").write_text("net")

    def answer(path):
        return tmp_path / "bundle" / path.removeprefix("node_modules/")

    with serving(answer, None) as address:
        connection = http.client.HTTPConnection(address.removeprefix("http://"))
        connection.request("GET", f"/{path.format(root=str(tmp_path).strip('/'))}")
        assert connection.getresponse().status == status
