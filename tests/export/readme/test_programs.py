"""The programs of READMEs, run on the files that they are for and compared with Keras."""

import itertools
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from support.client_programs import NODE_MODULES, run_cpp, run_node, run_pages, run_python, save_photo

from pocketzoo.export.artifact.artifact import Artifact
from pocketzoo.export.artifact.manifest import Tensor
from pocketzoo.export.artifact.metadata import Metadata, labels_text
from pocketzoo.export.artifact.tensors import RAW, TensorInfo
from pocketzoo.export.conversion.artifact_files import write_artifacts
from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.loading import open_converted
from pocketzoo.export.program_templates import chosen_lines
from pocketzoo.export.readme.input_output import written
from pocketzoo.export.readme.packages import PACKAGES
from pocketzoo.export.readme.programs import TEMPLATES, program
from pocketzoo.export.readme.runnable_files import RunnableFile, refusal
from pocketzoo.export.readme.snippet_table import SNIPPETS
from pocketzoo.export.sample_images import Samples
from pocketzoo.export.validation import c_source
from pocketzoo.tasks.registry import get_task
from pocketzoo.zoo.contract import state_contract
from pocketzoo.zoo.image_files import read_image

ROOT = Path(__file__).parents[3]
HEIGHT, WIDTH = 6, 8
RUNNERS = {"python": run_python, "python-onnx": run_python, "node": run_node, "browser": run_pages}
needs_node = pytest.mark.skipif(
    not (shutil.which("node") and NODE_MODULES.exists()), reason="no node, or no packages: make build/node/installed"
)
needs_compiler = pytest.mark.skipif(not shutil.which("g++"), reason="there is no g++ here")
LANGUAGES = [
    "python",
    "python-onnx",
    pytest.param("node", marks=needs_node),
    pytest.param("browser", marks=needs_node),
]
LABELS = ("a: b", "Käse 猫", '"c" \\ $d')


def outputs_net(channels, filters, *, pool, scale):
    """A net whose outputs depend on the place and the color of each pixel."""
    keras.utils.set_random_seed(1)
    image = keras.Input((HEIGHT, WIDTH, channels))
    x = keras.layers.Rescaling(scale)(image)
    x = keras.layers.Conv2D(filters, 3, padding="same", name="scores")(x)
    x = keras.layers.Dense(filters, name="last")(keras.layers.Flatten()(x)) if pool else x
    return keras.Model(image, x, name="net")


@pytest.fixture(scope="module")
def photo():
    """RGBA, with some pixels that are transparent."""
    pixels = np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH, 4)).astype("uint8")
    pixels[..., 3] = np.where(pixels[..., 3] < 60, 0, 255)
    return pixels


NETS = {
    "vector": (3, 3, True, (0, 255), ("tflite-fp32", "tflite-int8", "onnx-fp32", "onnx-int8")),
    "map": (3, 3, False, (-1, 1), ("tflite-fp32", "tflite-int8", "onnx-fp32")),
    "single": (1, 1, True, (0, 1), ("tflite-fp32", "onnx-fp32")),
}


VARIANTS = {
    "vector": [("classification", True), ("multi_label", True), ("regression", False), ("embedding", False)],
    "map": [("segmentation", True)],
    "single": [("classification", True), ("classification", False)],
}
"""Tasks that the output of each net can have, and whether it then counts as logits."""


@pytest.fixture(scope="module", params=NETS)
def exported(request, tmp_path_factory, photo):
    """Pairs of a file of a net and its raw output for the photo: that of Keras, of an int8 file its own."""
    channels, filters, pool, (low, high), formats = NETS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    save_photo(folder, photo)
    net = outputs_net(channels, filters, pool=pool, scale=2 / (high - low))
    state_contract(net, task="raw", pixels=(low, high))
    form = ExportGraph.from_model(net)
    images = low + np.random.default_rng(0).random((8, HEIGHT, WIDTH, channels)) * (high - low)
    written = write_artifacts(form, [FORMATS[name] for name in formats], Samples(images, None), folder)
    artifacts = [open_converted(path) for path, _ in written]
    pixels = read_image(folder / "photo.png", height=HEIGHT, width=WIDTH, channels=channels)[None]
    raw = net(low + pixels.astype("float32") * (high - low) / 255, training=False).numpy()
    own = [artifact.run(pixels) if "int8" in artifact.path.name else raw for artifact in artifacts]
    assert all(np.abs(output - raw).max() < 0.15 * np.abs(raw).max() for output in own)
    return request.param, list(zip(map(RunnableFile.from_artifact, artifacts), own, strict=True))


def expected_rows(task, labels, raw, logits):
    """What an output is shown as."""
    rule = get_task(task)
    if rule.figure_name is None:
        return [("", value) for value in raw[0].ravel()[:8]]
    (output,) = rule.decode_outputs(raw, from_logits=logits)
    percent = 1 if rule.figure_name == "value" else 100
    return [(label, percent * figure) for label, figure in rule.predictions(output, labels, 5)]


def stated(file, task, logits):
    """A file whose output has a task, with labels."""
    labels = () if task == "embedding" else LABELS[: max(2, file.output.value_shape[-1])]
    (file.path.parent / "labels.txt").write_text(labels_text(labels or LABELS), encoding="utf-8")
    metadata = file.metadata.model_copy(update={"task": task, "labels": labels, "from_logits": logits})
    return replace(file, metadata=metadata)


def check_rows(rows, file, raw):
    """Compare what a program has shown with the prediction of Keras, or of an int8 file with its own."""
    metadata = file.metadata
    expected = expected_rows(metadata.task, metadata.labels, raw, metadata.from_logits)
    numbers = [number for _, number in expected]
    scale = 100 if file.figure in ("probability", "share") else np.ptp(numbers)
    tolerance = scale * (0.02 if "int8" in file.format else 1e-5) + 0.006
    where = (file.file, metadata.task)
    if file.figure is None:
        assert [number for _, number in rows] == pytest.approx(numbers, abs=tolerance), where
    else:
        assert dict(rows) == pytest.approx(dict(expected), abs=tolerance), where
    if file.figure == "probability":
        assert [number for _, number in rows] == sorted((number for _, number in rows), reverse=True), where


@pytest.mark.parametrize("language", LANGUAGES)
def test_program_shows_what_keras_predicts(exported, language):
    name, files = exported
    snippet = SNIPPETS[language]
    cases = [
        (stated(file, *variant), raw)
        for (file, raw), variant in itertools.product(files, VARIANTS[name])
        if file.path.suffix == snippet.suffix and (language != "browser" or "int8" not in file.format)  # a second each
    ]
    folder = cases[0][0].path.parent
    for (file, raw), shown in zip(
        cases, RUNNERS[language]([program(snippet, file) for file, _ in cases], folder), strict=True
    ):
        check_rows(shown, file, raw)


@needs_compiler
def test_cpp_program_shows_what_keras_predicts(exported):
    name, files = exported
    file, raw = [each for each in files if each[0].path.suffix == ".tflite"][-1]  # in int8, if there is one
    file = stated(file, *VARIANTS[name][0])
    check_rows(run_cpp(program(SNIPPETS["cpp"], file), file.path.parent, file.file), file, raw)
    done = subprocess.run(["./predict"], cwd=file.path.parent, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "usage: ./predict photo.jpg\n")


@needs_compiler
@pytest.mark.every_card
def test_cpp_program_shows_every_task(exported):
    name, files = exported
    for variant in VARIANTS[name]:
        file = stated(files[0][0], *variant)
        check_rows(run_cpp(program(SNIPPETS["cpp"], file), file.path.parent, file.file), file, files[0][1])


@pytest.mark.parametrize("language", ["python", pytest.param("node", marks=needs_node)])
def test_photo_is_turned_upright_and_resized(exported, language):
    """By JPEG, whose decoders differ by a level; what skips pixels or forgets to turn it is off by more."""
    _, files = exported
    snippet = SNIPPETS[language]
    file = next(file for file, _ in files if file.path.suffix == snippet.suffix and "fp32" in file.format)
    folder = file.path.parent
    rows, columns = np.mgrid[: 10 * WIDTH, : 7 * HEIGHT]
    checkers = (rows + columns) % 2 * 60
    pixels = np.stack([3 * rows + checkers, 5 * columns, 255 - rows - checkers], axis=-1).clip(0, 255)
    tag = Image.Exif()
    tag[0x0112] = 6  # to be turned by 90 degrees
    Image.fromarray(pixels.astype("uint8")).save(folder / "large.jpg", quality=95, exif=tag)
    artifact = open_converted(file.path)
    channels = file.input.image_shape[-1]
    read = read_image(folder / "large.jpg", height=HEIGHT, width=WIDTH, channels=channels)
    raw = artifact.run(read[None])
    shown = RUNNERS[language]([program(snippet, stated(file, "embedding", False))], folder, "large.jpg")[0]
    numbers = [number for _, number in shown]
    first = raw[0].transpose(2, 0, 1) if snippet.suffix == ".onnx" and raw.ndim == 4 else raw[0]
    assert numbers == pytest.approx(first.ravel()[:8], abs=0.01 * np.ptp(raw) + 0.01 * np.abs(raw).max())


@pytest.mark.parametrize("language", ["python", "python-onnx", pytest.param("node", marks=needs_node)])
def test_16_bit_png_is_read_as_predict_reads_it(exported, language):
    """Pillow's own conversion makes white of nearly all its values."""
    _, files = exported
    snippet = SNIPPETS[language]
    file = next(file for file, _ in files if file.path.suffix == snippet.suffix and "fp32" in file.format)
    folder, channels = file.path.parent, file.input.image_shape[-1]
    pixels = np.random.default_rng(4).integers(0, 65536, (HEIGHT, WIDTH)).astype("uint16")
    Image.fromarray(pixels).save(folder / "deep.png")
    raw = open_converted(file.path).run(
        read_image(folder / "deep.png", height=HEIGHT, width=WIDTH, channels=channels)[None]
    )
    (shown,) = RUNNERS[language]([program(snippet, stated(file, "embedding", False))], folder, "deep.png")
    first = raw[0].transpose(2, 0, 1) if language == "node" and raw.ndim == 4 else raw[0]
    assert [number for _, number in shown] == pytest.approx(first.ravel()[:8], abs=0.02 * np.abs(raw).max())


def is_balanced(text):
    """Whether brackets close in their order, outside of the lines that are comments."""
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith(("//", "#", "<!")))
    expected = []
    for character in code:
        if character in "([{":
            expected.append(")]}"["([{".index(character)])
        elif character in ")]}" and (not expected or expected.pop() != character):
            return False
    return not expected


def test_every_program_is_complete(exported):
    """Of programs in languages that have no compiler here, it is all that is checked."""
    name, files = exported
    for snippet, (file, _), variant in itertools.product(SNIPPETS.values(), files, VARIANTS[name]):
        if snippet.is_beside or refusal(snippet, file):
            continue
        file = stated(file, *variant)
        text = program(snippet, file)
        assert is_balanced(text), (snippet.name, file.file)
        assert not re.search(r"\{\{\w+\}\}|^\s*@(if|else|end|include)\b", text, re.MULTILINE), snippet.name
        named = set(re.findall(r'"([\w-]+\.(?:tflite|onnx|txt))"', text))
        assert file.file in named or f'"{file.path.stem}"' in text
        assert all((file.path.parent / other).exists() for other in named)


STEPS = {(0, 255): [(1, 0)], (0, 1): [(1 / 255, 0)], (-1, 1): [(2 / 255, 127), (2 / 255, 128)]}
"""Scales and zero points that converters state for the bytes of a range."""


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16"])
@pytest.mark.parametrize("limits", STEPS)
def test_every_program_feeds_what_predict_does(dtype, limits):
    """At every level of a pixel, in the README's table, in programs and in the source for microcontrollers."""
    pixels = np.arange(256, dtype="uint8").reshape(16, 16, 1)
    for scale, zero in STEPS[limits] if dtype != "int16" else [(max(limits) / 32767, 0)]:
        image = TensorInfo("image", (1, 16, 16, 1), dtype, float(np.float32(scale)), zero - 128 * (dtype == "int8"))
        output = TensorInfo("scores", (1, 3), "float32")
        metadata = Metadata(
            model="net", labels=LABELS, image_shape=(16, 16, 1), pixel_range=limits, mean=None, scale=None,
            weights_sha256="",
        )  # fmt: skip
        path = Path("net.tflite")
        artifact = Artifact(path, image, output, metadata, lambda images: images)
        expected = artifact.to_tensors(pixels)
        text = program(SNIPPETS["python"], RunnableFile(path, "", image, output, metadata))
        code = text[
            text.index("\ntensor") if "\nvalues" not in text else text.index("\nvalues") : text.index("\ninterp")
        ]
        names = {"np": np, "pixels": pixels.astype("float32")}
        exec(code, names)  # of a template
        np.testing.assert_array_equal(names["tensor"], expected)
        info = np.iinfo(dtype)
        level = np.float32(pixels)
        value = level if limits == RAW else np.float32(limits[0]) + level * np.float32((limits[1] - limits[0]) / 255)
        record = Tensor(name="image", shape=image.shape, dtype=dtype, scale=image.scale, zero_point=image.zero_point)
        rule = written(record, limits).partition(" (scale")[0]
        told = eval(rule, {"pixel": level, "value": value, "round": np.round})
        np.testing.assert_array_equal(told.clip(info.min, info.max).astype(dtype)[None], expected)
        if dtype == "uint8":  # microcontrollers take none
            continue
        template = chosen_lines(c_source.TEMPLATES / "src/NAME.h", c_source._conditions(artifact, metadata))
        (line,) = [line for line in template if "const float value" in line]
        step = c_source.c_float((limits[1] - limits[0]) / 255)
        line = c_source.fill(line, {"low": c_source.c_float(limits[0]), "step": step})
        source = re.sub(r"(\de[-+]\d+)f", r"\1", line.partition("=")[2].rstrip(";").replace("std::", "")).strip()
        constants = {"kInputScale": np.float32(image.scale), "kInputZeroPoint": image.zero_point}
        fed = eval(source, {"pixel": level, "round": np.round} | constants)
        np.testing.assert_array_equal(np.clip(fed, info.min, info.max).astype(dtype)[None], expected)


@pytest.mark.parametrize("broken", ["a)", "(]", "{", "f(x))"])
def test_brackets_that_do_not_match_are_noticed(broken):
    assert not is_balanced(broken)


def test_packages_of_programs_are_those_that_are_tested():
    """The versions of `constraints.txt`, and of the packages that run the web page and these tests."""
    constraints = (ROOT / "constraints.txt").read_text().splitlines()
    clients = (ROOT / "constraints-clients.txt").read_text().splitlines()
    assert f"onnxruntime=={PACKAGES['onnxruntime_python']}" in constraints
    assert f"ai-edge-litert=={PACKAGES['litert_python']}" in constraints
    assert f"mediapipe=={PACKAGES['mediapipe_python']}" in clients
    makefile = re.search(r"^NODE_PACKAGES := (.*)$", (ROOT / "Makefile").read_text(), re.M)[1].split()
    assert f"onnxruntime-node@{PACKAGES['onnxruntime_node']}" in makefile
    assert f"onnxruntime-web@{PACKAGES['onnxruntime_web']}" in makefile
    assert f"sharp@{PACKAGES['sharp']}" in makefile


def test_every_version_in_a_program_is_one_of_the_packages():
    named = set()
    for template in TEMPLATES.iterdir():
        text = template.read_text(encoding="utf-8")
        assert not re.search(r"\d+\.\d+\.\d+|latest\.release", text), template.name
        named |= set(re.findall(r"\{\{(\w+)\}\}", text))
    assert PACKAGES.keys() <= named


def test_docs_say_of_each_program_what_its_readme_says():
    """Each row of the table has its programs in the first cell, and in the last what the tests do with them."""
    lines = (ROOT / "docs/export.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| `")]
    told = {name: row[-1] for row in rows for name in re.findall(r"`([\w-]+)`", row[0]) if name in SNIPPETS}
    told = {name: text for name, text in told.items() if len(text) > 4}
    assert told == {snippet.name: snippet.tested for snippet in SNIPPETS.values()}


@pytest.mark.parametrize(
    ("name", "command"), [("python", [sys.executable]), pytest.param("node", ["node"], marks=needs_node)]
)
def test_program_without_its_image_says_how_to_use_it(name, command, exported):
    _, files = exported
    snippet = SNIPPETS[name]
    file = next(file for file, _ in files if file.path.suffix == snippet.suffix)
    folder, path = file.path.parent, file.path.parent / f"usage.{'mjs' if name == 'node' else 'py'}"
    if name == "node" and not (folder / "node_modules").exists():
        (folder / "node_modules").symlink_to(NODE_MODULES)
    path.write_text(program(snippet, stated(file, "embedding", False)))
    done = subprocess.run([*command, path.name], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.fullmatch(rf"usage: {name.partition('-')[0]} predict\w*\.\w+ photo\.jpg\n", done.stderr)
    if name == "node":
        done = subprocess.run([*command, path.name, "no.png"], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert re.fullmatch(r"no\.png cannot be read: [^\n]+\n", done.stderr)


def test_python_programs_have_names_of_their_own():
    stems = [snippet.stem for snippet in SNIPPETS.values() if snippet.template.endswith(".py.in")]
    assert len(stems) == len(set(stems)) > 2
