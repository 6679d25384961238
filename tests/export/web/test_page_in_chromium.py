"""The page as it is, in Chromium, in a viewport of a phone's size."""

import os
import shutil
from contextlib import contextmanager
from queue import Queue

import keras
import numpy as np
import pytest
from support.client_programs import NODE_MODULES
from support.devtools import browsing
from support.small_net import small_net

from pocketzoo import export
from pocketzoo.export.runtimes.browser import find_browser, serving
from pocketzoo.tasks.ctc import log_likelihood
from pocketzoo.zoo.image_files import read_image

from .conftest import LABELS

pytestmark = [
    pytest.mark.skipif(find_browser() is None, reason="no Chromium is on the PATH"),
    pytest.mark.skipif(not NODE_MODULES.exists(), reason="no packages: make build/node/installed"),
]
READY = "document.getElementById('status').textContent.startsWith('Ready')"
ANSWERED = "document.querySelectorAll('#output .line').length && document.getElementById('timing').textContent"
ROWS = (
    "Array.from(document.querySelectorAll('#output .line'),"
    " line => Array.from(line.children, part => part.textContent))"
)
STATUS = "document.getElementById('status').textContent"
OUTPUTS = "import(new URL('page/outputs.js', document.baseURI))"


@pytest.fixture(scope="module")
def chromium():
    rules = "--host-resolver-rules=MAP elsewhere.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    with browsing(find_browser(), rules) as browser:
        yield browser


@pytest.fixture(scope="module")
def digits(chromium, digits_page):
    """The page of a classification, open for several tests."""
    with opened(chromium, digits_page) as page:
        yield page


@pytest.fixture(scope="module")
def shapes(chromium, shapes_page):
    """The page of a segmentation, open for several tests."""
    with opened(chromium, shapes_page) as page:
        yield page


@contextmanager
def opened(chromium, folder, host="127.0.0.1"):
    """Open the page of a bundle until its model is loaded."""
    with served(folder) as address, chromium.page() as page:
        page.open(f"{address.replace('127.0.0.1', host)}/index.html")
        page.wait_for(READY)
        yield page


def served(folder):
    return serving(lambda path: folder / (path or "index.html"), Queue())


def predicted(folder, photo):
    """What `pocketzoo predict` says of a photo."""
    artifact = export.load_artifact(next(folder.glob("*.onnx")))
    height, width, channels = artifact.metadata.image_shape
    image = read_image(photo, height=height, width=width, channels=channels).astype("uint8")
    (rows,) = export.predict(artifact, image[None]).rows(5)
    return rows


def check_rows(rows, expected):
    """Whether rows have the labels and percentages that are expected, to a tenth."""
    assert [label for label, _ in rows] == [label for label, _ in expected]
    for (_, text), (_, share) in zip(rows, expected, strict=True):
        assert text.endswith(" %")
        assert float(text[:-2]) == pytest.approx(100 * share, abs=0.15)


@pytest.mark.parametrize("name", ["digits", "shapes"])
def test_image_from_a_file_is_predicted_as_by_predict_without_a_request_elsewhere(request, photo, name):
    page, folder = request.getfixturevalue(name), request.getfixturevalue(f"{name}_page")
    page.choose_file("#file", photo)
    page.wait_for(ANSWERED)
    expected = predicted(folder, photo)
    assert len(expected) > 1
    check_rows(page.evaluate(ROWS), expected)
    labels = [label for label, _ in expected]
    assert page.accessible("meter") == labels
    assert page.evaluate("document.getElementById('spoken').textContent").startswith(labels[0])
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.evaluate("document.querySelectorAll('img').length") == 0
    assert page.evaluate("violations") == []
    address, asked = page.evaluate("location.origin"), page.requests()
    assert any(".onnx?v=" in each for each in asked)
    assert all(each.startswith((f"{address}/", "data:,")) for each in asked)


def test_inline_code_and_requests_elsewhere_are_blocked(digits):
    digits.evaluate("violations.length = 0")
    digits.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = 1'}))"
    )
    assert digits.evaluate("fetch('https://example.org').catch(() => 'blocked')") == "blocked"
    assert digits.evaluate("window.ran") is None
    digits.wait_for("violations.length === 2")
    assert digits.evaluate("violations.splice(0)") == ["script-src-elem inline", "connect-src https://example.org/"]


def test_mask_is_drawn_over_the_image_in_the_colors_of_its_legend(shapes, photo):
    shapes.choose_file("#file", photo)
    shapes.wait_for(ANSWERED)
    legend = shapes.evaluate("Array.from(document.querySelectorAll('#output .patch'), each => each.style.background)")
    assert len(set(legend)) == len(shapes.evaluate(ROWS)) > 1
    assert shapes.accessible("image") == ["The image, with the class of each pixel as a color over it"]
    changed = shapes.evaluate(
        "createImageBitmap(document.getElementById('file').files[0]).then(image => {"
        " const pixels = canvas => canvas.getContext('2d').getImageData(0, 0, image.width, image.height).data;"
        " const canvas = new OffscreenCanvas(image.width, image.height);"
        " canvas.getContext('2d').drawImage(image, 0, 0);"
        " const before = pixels(canvas), after = pixels(document.getElementById('shown'));"
        " return after.filter((value, i) => value !== before[i]).length / after.length; })"
    )
    assert changed > 0.2


def test_page_works_offline_after_the_first_visit(chromium, digits_page, photo):
    with chromium.page() as page:
        with served(digits_page) as address:
            page.open(f"{address}/index.html")
            page.wait_for(READY)
            assert page.evaluate(STATUS) == "Ready, also without a network."
        page.send("Page.reload")
        page.wait_for(f"performance.timing.loadEventEnd && {READY}")
        page.choose_file("#file", photo)
        page.wait_for(ANSWERED)
        check_rows(page.evaluate(ROWS), predicted(digits_page, photo))


def test_new_export_replaces_what_was_kept_at_once(chromium, digits_page, page_of, photo, tmp_path):
    folder = tmp_path / "bundle"
    shutil.copytree(digits_page, folder, ignore=shutil.ignore_patterns("packages"))
    (folder / "packages").symlink_to(digits_page / "packages")
    with served(folder) as address, chromium.page() as page:
        page.open(f"{address}/index.html")
        page.wait_for(READY)
        keras.utils.set_random_seed(2)
        page_of(small_net(), [f"new {number}" for number in range(10)], folder=folder)
        page.open(f"{address}/index.html")
        page.wait_for(READY)
        page.choose_file("#file", photo)
        page.wait_for(ANSWERED)
        check_rows(page.evaluate(ROWS), predicted(folder, photo))
        assert page.evaluate(ROWS)[0][0].startswith("new ")
        assert len(page.evaluate("caches.keys()")) == 1


def test_another_site_at_the_address_is_left_alone(chromium, digits_page, tmp_path):
    """As it happens on localhost, where one server follows another."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    for name in ("index.html", "sw.js", "page"):
        (folder / name).symlink_to(digits_page / name)
    with served(folder) as address, chromium.page() as page:
        page.open(f"{address}/index.html")
        registrations = "(await navigator.serviceWorker.getRegistrations()).length"
        page.wait_for(f"navigator.serviceWorker.controller && {registrations} === 1")
        (folder / "index.html").unlink()
        (folder / "index.html").write_text("<!doctype html><title>Another site</title>")
        page.open(f"{address}/index.html")
        assert page.evaluate("document.title") == "Another site"
        page.wait_for(f"{registrations} === 0")


def test_camera_is_explained_where_it_is_unavailable_and_files_still_work(chromium, digits_page, photo):
    with opened(chromium, digits_page, host="elsewhere.test") as page:
        assert page.evaluate("isSecureContext") is False
        assert page.evaluate("document.getElementById('camera').disabled")
        assert page.evaluate("document.getElementById('no-camera').innerText") == "The camera needs https or localhost."
        assert page.evaluate(STATUS) == "Ready."
        page.choose_file("#file", photo)
        page.wait_for(ANSWERED)
        check_rows(page.evaluate(ROWS), predicted(digits_page, photo))
        assert page.evaluate("violations") == []


def test_camera_that_is_not_permitted_and_a_file_that_is_no_image_are_told(digits, photo, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("no image")
    assert digits.evaluate("document.getElementById('no-camera').innerText") == ""
    digits.evaluate(
        "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotAllowedError') }"
    )
    digits.evaluate("document.getElementById('camera').click()")
    digits.wait_for(f"{STATUS}.startsWith('The camera was not permitted')")
    digits.choose_file("#file", text)
    digits.wait_for(f"{STATUS} === 'This browser cannot read the file as an image.'")
    digits.choose_file("#file", photo)
    digits.wait_for(f"{ANSWERED} && {STATUS} === ''")


def test_pasted_and_dropped_images_are_predicted(digits, photo):
    digits.choose_file("#file", photo)
    digits.wait_for(ANSWERED)
    expected = digits.evaluate(ROWS)
    for kind, field, target in (("Clipboard", "clipboardData", "document"), ("Drag", "dataTransfer", "stage")):
        event = "paste" if kind == "Clipboard" else "drop"
        digits.evaluate(
            "{ document.getElementById('output').replaceChildren(); const given = new DataTransfer();"
            " given.items.add(document.getElementById('file').files[0]);"
            f" {target}.dispatchEvent(new {kind}Event('{event}', {{{field}: given, bubbles: true}})); }}"
        )
        digits.wait_for(ANSWERED)
        assert digits.evaluate(ROWS) == expected


def test_everything_is_reached_and_named_with_the_keyboard_alone(chromium, digits_page):
    with served(digits_page) as address, chromium.page() as page:
        page.open(f"{address}/index.html")
        reached = []
        for _ in range(3):
            page.press("Tab")
            reached.append(page.evaluate("document.activeElement.id"))
        assert reached == ["file", "camera", "onnx-wasm"]
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        assert sorted(page.accessible("button")) == ["Choose an image", "Use the camera"]
        assert "ONNX Runtime, WebAssembly" in page.accessible("radio")[0]
        assert page.accessible("radiogroup") == ["Runs on"]
        assert page.accessible("main") == [""]
        assert page.evaluate("[document.documentElement.lang, document.title]") == ["en", "small_net"]


def shown(page, bundle, values, shape, previous="null"):
    """The rows and the summary that the page shows for an output."""
    words = page.evaluate(
        f"{OUTPUTS}.then(({{showOutput, headingOf}}) => [headingOf({bundle}), showOutput({bundle}, "
        f"{{values: Float32Array.from({values}), shape: {shape}}}, document.getElementById('output'), "
        f"document.getElementById('shown'), {previous})])"
    )
    return words[0], page.evaluate(ROWS)


def test_outputs_of_every_task_are_shown_in_its_form(digits):
    classes = "{figure: 'probability', activation: 'softmax', from_logits: %s, labels: ['a', 'b']}"
    rows = [["a", "73.1 %"], ["b", "26.9 %"]]
    assert shown(digits, classes % "true", [2, 1], [1, 2]) == ("Predictions", rows)
    assert shown(digits, classes % "false", [0.25], [1, 1]) == ("Predictions", [["a", "75.0 %"], ["b", "25.0 %"]])
    assert shown(digits, classes % "true", [0], [1, 1])[1] == [["a", "50.0 %"], ["b", "50.0 %"]]
    labels = f"{{figure: 'probability', activation: 'sigmoid', labels: {list('abcdefg')}}}"
    heading, rows = shown(digits, labels, [0.9, 0.8, 0.7, 0.6, 0.6, 0.51, 0.5], [1, 7])
    assert (heading, [label for label, _ in rows]) == ("Labels", [f"✓ {label}" for label in "abcdef"])
    values = "{figure: 'value', activation: null, labels: ['age in years', 'height in m']}"
    rows = [["age in years", "41.50"], ["height in m", "-0.2500"]]
    assert shown(digits, values, [41.5, -0.25], [1, 2]) == ("Values", rows)
    embedding = "{figure: null, activation: null, compares_images: true, labels: []}"
    rows = [["Shape", "2"], ["Length", "5.000"], ["Value 0", "3.000"], ["Value 1", "4.000"]]
    assert shown(digits, embedding, [3, 4], [1, 2]) == ("Output", rows)
    rows = shown(digits, embedding, [3, 4], [1, 2], previous="Float32Array.of(-4, 3)")[1]
    assert rows[2] == ["Cosine similarity to the image before", "0.000"]
    raw = "{figure: null, activation: null, compares_images: false, labels: []}"
    rows = shown(digits, raw, list(range(12)), [1, 2, 6])[1]
    assert (rows[0], len(rows), rows[-1]) == (["Shape", "2 \N{MULTIPLICATION SIGN} 6"], 10, ["and 4 more", ""])
    mask = "{figure: 'share', activation: 'softmax', labels: ['sky', 'sea']}"
    assert shown(digits, mask, [0.3, 0.7, 0.9], [1, 1, 3, 1])[1] == [["sea", "66.7 %"], ["sky", "33.3 %"]]
    heat = "{figure: 'anomaly score', activation: null, labels: ['0']}"
    assert shown(digits, heat, [0, 0.25, 0.5, 0.9], [1, 2, 2, 1]) == ("Anomaly", [["defect", "0.900"]])
    density = "{figure: 'count', activation: null, labels: ['cats', 'dogs']}"
    counts = [["cats", "1.50"], ["dogs", "0.25"]]
    assert shown(digits, density, [1, 0.25, 0.5, 0], [1, 1, 2, 2]) == ("Counts", counts)
    assert shown(digits, density, [0] * 4, [1, 2, 1, 2])[1] == [["cats", "0.00"], ["dogs", "0.00"]]
    objects = "{figure: 'score', activation: null, places: ['left', 'top', 'right', 'bottom'], labels: ['cat', 'dog']}"
    boxes = [
        [0, 0, 0.5, 0.5, 0.9, 0],
        [0.05, 0, 0.5, 0.5, 0.6, 0.8],
        [0.5, 0.5, 1, 1, 0.7, 0.2],
        [0, 0, 1, 1, 0.1, 0.4],
    ]
    rows = [["cat", "90.0 %"], ["dog", "80.0 %"], ["cat", "70.0 %"]]
    assert shown(digits, objects, np.ravel(boxes).tolist(), [1, 4, 6]) == ("Objects", rows)
    assert shown(digits, objects, boxes[3], [1, 1, 6])[1] == [["no object", ""]]
    text = "{figure: 'confidence', activation: 'softmax', labels: ['a', 'space', 'blank']}"
    outputs = np.array([[0.6, 0.1, 0.3], [0.2, 0.1, 0.7], [0.1, 0.8, 0.1], [0.8, 0.1, 0.1], [0.7, 0.1, 0.2]])
    probability = f"{100 * np.exp(log_likelihood(outputs, (0, 1, 0))):.1f} %"
    found = shown(digits, text, outputs.ravel().tolist(), [1, 5, 3])
    assert found == ("Text", [["a a", probability]])
    assert shown(digits, text, [0.1, 0.1, 0.8], [1, 1, 3])[1] == [["no text", "80.0 %"]]
    told = f"{OUTPUTS}.then(({{showOutput}}) => showOutput({raw}, {{values: [NaN], shape: [1]}})).catch(String)"
    assert digits.evaluate(told) == "Error: The output has values that are not numbers."


def test_labels_fit_a_narrow_screen(digits):
    assert any(len(label) > 20 for label in LABELS["digits"])
    bundle = f"{{figure: 'probability', activation: 'softmax', labels: ['{'long' * 40}', 'two words']}}"
    shown(digits, bundle, [0.5, 0.5], [1, 2])
    assert digits.evaluate("document.documentElement.scrollWidth") == 360


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_contrast_with_their_background(digits, scheme):
    """WCAG's ratio for normal text, 4.5."""
    digits.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    style = "getComputedStyle(document.querySelector('%s')).%s"
    pairs = [
        ("h1", "body"),
        (".quiet", "body"),
        ("h2", "section"),
        ("#status", "section"),
        ("#hint", "#stage"),
        (".primary", ".primary"),
        ("#camera", "#camera"),
    ]
    for text, background in pairs:
        colors = digits.evaluate(f"[{style % (text, 'color')}, {style % (background, 'backgroundColor')}]")
        bright, dark = sorted(map(luminance, colors), reverse=True)
        assert (bright + 0.05) / (dark + 0.05) >= 4.5, text


def luminance(color):
    """Relative luminance of `rgb(red, green, blue)`."""
    channels = [int(part) / 255 for part in color.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_package_with_another_content_is_not_run(chromium, digits_page, tmp_path):
    folder = tmp_path / "bundle"
    shutil.copytree(digits_page, folder, copy_function=os.symlink)
    changed = folder / "packages/onnxruntime-web/dist/ort-wasm-simd-threaded.mjs"
    content = changed.read_text()
    changed.unlink()
    changed.write_text(f"{content}\nwindow.ran = 1;")
    with served(folder) as address, chromium.page() as page:
        page.open(f"{address}/index.html")
        page.wait_for(
            f"{STATUS}.includes('ort-wasm-simd-threaded.mjs cannot be loaded, or is another than it should be')"
        )
        assert page.evaluate("document.getElementById('status').className").endswith("error")
        assert page.evaluate("window.ran") is None
