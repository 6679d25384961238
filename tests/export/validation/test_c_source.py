"""The C++ project of a model for microcontrollers: its sources, what it prints, and what its check finds."""

import re
import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.client_programs import run_cpp
from support.edge import check_syntax, failed, net, subject_of

from pocketzoo.export.example import Example
from pocketzoo.export.loading import load_artifact
from pocketzoo.export.runtimes.tflite_micro import smallest_arena
from pocketzoo.export.validation import c_source
from pocketzoo.export.validation.checks import artifact_check
from pocketzoo.export.validation.checks import c_source as c_source_check
from pocketzoo.export.validation.checks.check_registry import run_check
from pocketzoo.zoo.contract import state_contract

pytestmark = pytest.mark.skipif(not shutil.which("g++"), reason="there is no g++ here")


@pytest.fixture
def no_micro(monkeypatch):
    """The size of the arena is estimated, since TensorFlow Lite Micro takes a second to measure it."""
    monkeypatch.setattr(c_source_check, "_arena_bytes", lambda _: None)


@pytest.mark.usefixtures("no_micro")
def test_wrong_byte_in_the_source_is_found(small, monkeypatch):
    whole = c_source._array_rows
    monkeypatch.setattr(c_source, "_array_rows", lambda content: whole(bytes([content[0] ^ 1]) + content[1:]))
    check = c_source_check.compile_source(small)
    assert list(failed(check)) == ["bytes as in the file"]


@pytest.mark.usefixtures("no_micro")
def test_labels_of_any_kind_reach_the_source(small):
    labels = ['a "quoted" \\ one', "what??/", "Käse 猫\n7", ""]
    subject = replace(small, metadata=small.metadata.model_copy(update={"labels": labels}))
    check = c_source_check.compile_source(subject)
    assert check.files
    source = (small.path.parent / "net_int8/src/net_int8.cpp").read_text()
    assert all(c_source.c_string(label) in source for label in labels)
    assert not failed(check)


@pytest.mark.usefixtures("no_micro")
def test_compiler_version_and_errors_are_reported(small, tmp_path, monkeypatch):
    """Clang, which is `g++` on macOS, has no `-dumpfullversion`."""
    fussy = tmp_path / "fussy"
    fussy.write_text('#!/bin/sh\n[ $1 = --version ] && echo fussy 1.2 || { echo "main.cc:1: error: no" >&2; exit 1; }')
    fussy.chmod(0o755)
    assert c_source_check._compiler_version(str(fussy)) == "fussy 1.2"
    monkeypatch.setattr(c_source_check, "COMPILERS", (str(fussy),))
    check = run_check("c-source", small)
    assert failed(check) == {"ran": f"{fussy} does not compile it: main.cc:1: error: no"}


def vector_net(classes, activation):
    model = net(classes=classes)
    head = keras.layers.Dense(classes, activation=activation, kernel_initializer="ones", name="last")
    return keras.Model(model.input, head(model.layers[-2].output), name="net")


def map_net(channels=1, activation="sigmoid"):
    """Scores for each pixel."""
    image = keras.Input((8, 8, 1))
    return keras.Model(image, keras.layers.Conv2D(channels, 1, activation=activation, name="last")(image), name="net")


@pytest.mark.usefixtures("no_micro")
@pytest.mark.parametrize(
    ("model", "stated"),
    [
        (lambda: vector_net(1, "sigmoid"), {"task": "classification", "labels": ["no", "yes"], "pixels": "0..1"}),
        pytest.param(
            lambda: vector_net(1, None),
            {"task": "classification", "labels": ["no", "yes"], "from_logits": True},
            marks=pytest.mark.every_card,
        ),
        pytest.param(
            lambda: vector_net(3, None),
            {"task": "multi_label", "pixels": "-1..1", "from_logits": True},
            marks=pytest.mark.every_card,
        ),
        (lambda: vector_net(4, None), {"task": "classification", "pixels": "0..1", "from_logits": True}),
        (map_net, {"task": "segmentation", "labels": ["no", "yes"], "pixels": "0..1"}),
    ],
    ids=["single", "single-logit", "labels-of-logits", "logits", "map"],
)
def test_example_prints_the_prediction_of_each_form_of_output(model, stated, tmp_path):
    model = model()
    state_contract(model, report=False, **stated)
    subject = subject_of(model, tmp_path)
    check = c_source_check.compile_source(subject)
    assert failed(check) == {}
    project = c_source.project_folder(subject.path)
    for file in (project / "src").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    check_syntax(project, f"{project.name}.ino")
    artifact = load_artifact(subject.path)
    gray = np.full((1, *subject.metadata.image_shape), 128, "uint8")
    decoded = subject.metadata.decode(artifact.run(gray))[0]
    if stated["task"] == "segmentation":
        decoded = np.eye(2)[decoded.argmax(-1)].mean((0, 1))
    percents = dict(zip(subject.metadata.labels, 100 * decoded, strict=True))
    printed = dict(run_cpp((project / "app/main.cpp").read_text(), tmp_path, subject.path.name, "net_int8.cpp"))
    if stated["task"] == "classification":
        percents = dict([max(percents.items(), key=lambda item: item[1])])
    assert printed == pytest.approx(percents, abs=1.01)


@pytest.mark.usefixtures("no_micro")
@pytest.mark.parametrize(
    ("model", "stated"),
    [
        (lambda: vector_net(4, "softmax"), {"task": "classification", "labels": ["Käse", "b?", "\\", "d"]}),
        pytest.param(map_net, {"task": "segmentation", "labels": ["no", "yes"]}, marks=pytest.mark.every_card),
        (lambda: map_net(2, "relu"), {"task": "counting", "labels": ["cats", "dogs"]}),
        pytest.param(map_net, {"task": "image_to_image", "labels": ["gray"]}, marks=pytest.mark.every_card),
    ],
    ids=["classes", "map", "counts", "picture"],
)
def test_example_prints_what_its_readme_says_of_the_image_of_the_user(model, stated, tmp_path):
    model = model()
    state_contract(model, report=False, pixels="0..1", **stated)
    subject = subject_of(model, tmp_path)
    pixels = np.random.default_rng(6).integers(0, 256, subject.metadata.image_shape, "uint8")
    subject = replace(subject, example=Example("cat.png", pixels))
    assert failed(c_source_check.compile_source(subject)) == {}
    project = c_source.project_folder(subject.path)
    for file in (project / "src").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    check_syntax(project)
    main, readme = (project / "app/main.cpp").read_text(), (project / "README.md").read_text()
    printed = run_cpp(main, tmp_path, subject.path.name, "net_int8.cpp")
    told = re.findall(r"^//   (.*): (\d+) (?:%|/ 1000)$", main, re.MULTILINE)
    assert told == re.findall(r"^    (.*): (\d+) (?:%|/ 1000)$", readme, re.MULTILINE)
    shown = printed[: c_source.VALUES_SHOWN]
    assert [int(figure) for _, figure in told] == pytest.approx([figure for _, figure in shown], abs=1)
    assert [label for label, _ in told] == [c_source.c_string(label)[1:-1] for label, _ in shown]
    assert "The example runs `cat.png`" in readme


@pytest.mark.usefixtures("no_micro")
def test_image_that_takes_much_flash_is_no_example(small, monkeypatch):
    pixels = np.zeros(small.metadata.image_shape, "uint8")
    monkeypatch.setattr(c_source, "EXAMPLE_BYTES", pixels.size - 1)
    check = c_source_check.compile_source(replace(small, example=Example("cat.png", pixels)))
    assert not [file for file in check.files if "example" in file]
    assert "cat.png" not in (c_source.project_folder(small.path) / "README.md").read_text()


@pytest.mark.usefixtures("no_micro")
def test_pixels_quantized_for_another_range_are_found(tmp_path, monkeypatch):
    model = vector_net(3, "softmax")
    state_contract(model, report=False, pixels="0..1")
    subject = subject_of(model, tmp_path)
    conditions = c_source._conditions
    monkeypatch.setattr(c_source, "_conditions", lambda *args: conditions(*args) | {"raw_pixels": True})
    assert list(failed(c_source_check.compile_source(subject))) == ["rounding of pixels"]


@pytest.mark.parametrize("kind", ["tflite-int8", "tflite-int16x8"])
def test_examples_compile_without_tensorflow_lite_micro_to_measure_the_arena(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(artifact_check, "find_spec", lambda _: None)
    subject = subject_of(net(), tmp_path, kind=kind)
    check = c_source_check.compile_source(subject)
    assert (check.status, check.skipped) == ("passed", None)
    project = c_source.project_folder(subject.path)
    check_syntax(project)
    header = (project / f"src/{project.name}.h").read_text()
    assert "Estimated, since TensorFlow Lite Micro was not installed" in header
    estimate = int(re.search(r"kArenaBytes = (\d+);", header)[1])
    measured = smallest_arena(subject.path.read_bytes())
    assert measured <= estimate < 2 * measured


@given(st.text())
def test_string_literals_and_identifiers_are_valid(text):
    literal = c_source.c_string(text)
    octals = re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), literal[1:-1].encode("ascii"))
    assert octals == text.encode()
    assert re.fullmatch(r"[A-Za-z][0-9A-Za-z_]*", c_source.c_name(text))


@given(st.lists(st.text("aB1_-. ", min_size=1, max_size=6), min_size=2, max_size=2, unique=True))
def test_models_of_similar_names_have_different_namespaces(names):
    first, second = (c_source.c_name(f"{name}-int8") for name in names)
    assert first != second


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_constants_are_exact(value):
    assert np.float32(c_source.c_float(value).removesuffix("f")) == np.float32(value)
