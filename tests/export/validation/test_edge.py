"""Microcontrollers, Ethos-U and the Edge TPU, with the real tools."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from support.client_programs import STUBS, run_cpp
from support.edge import failed, net, subject_of

from pocketzoo import export, zoo
from pocketzoo.export.artifact.certificate import model_part
from pocketzoo.export.artifact.report import device_rows
from pocketzoo.export.loading import load_artifact
from pocketzoo.export.readme.programs import snippet_text
from pocketzoo.export.readme.runnable_files import files_of
from pocketzoo.export.runtimes import subprocesses
from pocketzoo.export.runtimes.tflite_micro import RefusedError, run_in_micro, smallest_arena
from pocketzoo.export.tflite_schema import operator_support
from pocketzoo.export.tflite_schema.arena_estimate import estimate_arena
from pocketzoo.export.tflite_schema.flatbuffer import unpack_model
from pocketzoo.export.tflite_schema.nodes import OPERATOR_NAMES, tflite_nodes
from pocketzoo.export.validation import c_source
from pocketzoo.export.validation.checks import artifact_check, tflite_micro, vela
from pocketzoo.export.validation.checks import c_source as c_source_check
from pocketzoo.export.validation.checks.artifact_check import Subject
from pocketzoo.export.validation.checks.check_registry import run_check
from pocketzoo.zoo.contract import state_contract

LISTS = ("gpu_delegate", "tflite_micro", "ethos_u55_u65", "ethos_u85", "edge_tpu")
needs_micro = pytest.mark.skipif(sys.platform != "linux", reason="there is no tflite-micro for other systems")
needs_compiler = pytest.mark.skipif(not shutil.which("g++"), reason="there is no g++ here")


@pytest.fixture(scope="module")
def edge(trained_file, digits, tmp_path_factory):
    """A bundle of the trained LeNet-5 for all edge targets."""
    out = tmp_path_factory.mktemp("edge") / "out"
    export.export_model(
        zoo.load_model(trained_file),
        out,
        targets=["edge", "edge-tpu"],
        calibration=digits.train,
        evaluation=digits.test,
        budget="flash=128KB,ram=32KB,latency_ms=20",
    )
    return out


@pytest.fixture(scope="module")
def checks(edge):
    (record,) = export.Manifest.load(edge / "manifest.json").artifacts
    return {check.name: check for check in record.checks}


@needs_micro
def test_micro_runs_the_artifact_in_the_smallest_arena(edge, checks, digits):
    check, file = checks["TensorFlow Lite Micro"], edge / "lenet5-int8.tflite"
    assert check.status == "passed"
    assert check.agreement >= 0.98
    assert check.facts["images"] == min(200, len(digits.test))
    bars = {gate.name: gate.bar for gate in check.gates}
    assert bars["arena_bytes"] == 32_000
    arena, artifact = check.facts["arena_bytes"], load_artifact(file)
    tensors = artifact.input.from_real(digits.test.arrays()[0][:3].astype("float32"))
    outputs = run_in_micro(file.read_bytes(), tensors, arena).outputs
    assert np.abs(outputs.astype(int) - np.concatenate([artifact.invoke(t[None]) for t in tensors])).max() <= 2
    with pytest.raises(RefusedError):
        run_in_micro(file.read_bytes(), tensors, arena - 16)


@needs_micro
def test_micro_reports_the_operator_without_kernel(tmp_path):
    subject = subject_of(net(keras.layers.UpSampling2D(2, name="nearest")), tmp_path)
    assert re.fullmatch(
        r"TILE \(nearest\): .*TILE.*", failed(tflite_micro.validate_in_micro(subject))["operators refused"]
    )


@needs_micro
def test_micro_reports_the_operator_with_a_failed_assertion(tmp_path):
    """Its softmax aborts the process where more than 512 classes have similar probabilities."""
    model = net(classes=1000)
    model.get_layer("last").kernel.assign(model.get_layer("last").kernel * 1e-4)
    reason = failed(tflite_micro.validate_in_micro(subject_of(model, tmp_path)))["operators refused"]
    assert reason.startswith("SOFTMAX (probabilities): an assertion failed in it (signal 6); instead: leave ")


@needs_micro
def test_arena_above_the_budget_fails(tmp_path):
    check = tflite_micro.validate_in_micro(subject_of(net(), tmp_path, bars={"arena_bytes": 1000}))
    assert "arena_bytes" in failed(check)
    assert "arena_bytes" not in failed(
        tflite_micro.validate_in_micro(subject_of(net(), tmp_path, bars={"arena_bytes": 9000}))
    )


@needs_compiler
def test_c_source_contains_the_bytes_of_the_artifact(edge, checks):
    check = checks["C++ source"]
    assert check.status == "passed"
    assert check.files[0] == "lenet5_int8/README.md"
    assert all((edge / file).is_file() for file in check.files)
    header = (edge / "lenet5_int8/src/lenet5_int8.h").read_text()
    adds = set(re.findall(r"resolver\.(Add\w+)\(\)", header))
    assert adds == {"AddAveragePool2D", "AddConv2D", "AddFullyConnected", "AddReshape", "AddSoftmax", "AddTanh"}
    assert f"kOperators = {len(adds)};" in header
    assert f"kArenaBytes = {checks['TensorFlow Lite Micro'].facts['arena_bytes']};" in header


def test_array_is_the_model_without_its_metadata(edge):
    content = (edge / "lenet5-int8.tflite").read_bytes()
    whole, array = unpack_model(content), unpack_model(c_source.array_content(content))
    metadata = [len(whole.buffers[entry.buffer].data) for entry in whole.metadata]
    assert array.metadata in (None, [])
    assert len(c_source.array_content(content)) < len(model_part(content, ".tflite")) - sum(metadata)
    assert list(tflite_nodes(content)) == list(tflite_nodes(c_source.array_content(content)))
    for before, after in zip(whole.subgraphs[0].tensors, array.subgraphs[0].tensors, strict=True):
        assert np.array_equal(whole.buffers[before.buffer].data, array.buffers[after.buffer].data)
        assert np.array_equal(before.quantization.scale, after.quantization.scale)


def test_project_has_a_sketch_a_module_and_no_field_that_is_not_filled(edge, checks):
    project = edge / "lenet5_int8"
    assert {str(path.relative_to(project)) for path in project.rglob("*") if path.is_file()} == {
        "README.md",
        "CMakeLists.txt",
        "lenet5_int8.ino",  # the name of the folder, as Arduino demands
        "src/lenet5_int8.h",
        "src/lenet5_int8.cpp",
        "app/main.cpp",
        "zephyr/module.yml",
        "zephyr/Kconfig",
        "zephyr/CMakeLists.txt",
        "zephyr/app/CMakeLists.txt",
        "zephyr/app/prj.conf",
    }
    assert [path for path in project.rglob("*.*") if re.search(r"@\w+@", path.read_text())] == []
    module = yaml.safe_load((project / "zephyr/module.yml").read_text())
    assert module == {"name": "lenet5_int8", "build": {"cmake": "zephyr", "kconfig": "zephyr/Kconfig"}}
    assert "config LENET5_INT8\n" in (project / "zephyr/Kconfig").read_text()
    assert "CONFIG_LENET5_INT8=y\n" in (project / "zephyr/app/prj.conf").read_text()


@needs_compiler
def test_wrong_byte_in_the_source_is_found(tmp_path, monkeypatch):
    whole = c_source._array_rows
    monkeypatch.setattr(c_source, "_array_rows", lambda content: whole(bytes([content[0] ^ 1]) + content[1:]))
    check = c_source_check.compile_source(subject_of(net(), tmp_path))
    assert list(failed(check)) == ["bytes as in the file"]


@needs_compiler
def test_labels_of_any_kind_reach_the_source(tmp_path):
    labels = ['a "quoted" \\ one', "what??/", "Käse 猫\n7", ""]
    subject = subject_of(net(), tmp_path)
    subject = Subject(
        subject.path, subject.format, subject.metadata.model_copy(update={"labels": labels}), subject.reference
    )
    check = c_source_check.compile_source(subject)
    assert check.files
    source = (tmp_path / "net_int8/src/net_int8.cpp").read_text()
    assert all(c_source.c_string(label) in source for label in labels)
    assert not failed(check)


@needs_compiler
def test_compiler_version_and_errors_are_reported(tmp_path, monkeypatch):
    """Clang, which is `g++` on macOS, has no `-dumpfullversion`."""
    fussy = tmp_path / "fussy"
    fussy.write_text('#!/bin/sh\n[ $1 = --version ] && echo fussy 1.2 || { echo "main.cc:1: error: no" >&2; exit 1; }')
    fussy.chmod(0o755)
    assert c_source_check._compiler_version(str(fussy)) == "fussy 1.2"
    monkeypatch.setattr(c_source_check, "COMPILERS", (str(fussy),))
    check = run_check("c-source", subject_of(net(), tmp_path))
    assert failed(check) == {"ran": f"{fussy} does not compile it: main.cc:1: error: no"}


@needs_compiler
def test_example_prints_what_keras_predicts(edge, trained, tmp_path):
    """On its gray image, with LiteRT behind a stub of TensorFlow Lite Micro."""
    for file in (edge / "lenet5-int8.tflite", *(edge / "lenet5_int8/src").iterdir()):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    text = snippet_text("cpp-micro", files_of(export.Manifest.load(edge / "manifest.json"), edge), "the bundle")
    ((label, percent),) = run_cpp(text, tmp_path, "lenet5-int8.tflite", "lenet5_int8.cpp")
    expected = trained(np.full((1, 32, 32, 1), 128, "float32"), training=False).numpy()[0]
    assert label == trained.layers[-1].labels[expected.argmax()]
    assert percent == pytest.approx(100 * expected.max(), abs=5)


def vector_net(classes, activation):
    model = net(classes=classes)
    head = keras.layers.Dense(classes, activation=activation, kernel_initializer="ones", name="last")
    return keras.Model(model.input, head(model.layers[-2].output), name="net")


def map_net():
    """One score for each pixel."""
    image = keras.Input((8, 8, 1))
    return keras.Model(image, keras.layers.Conv2D(1, 1, activation="sigmoid", name="last")(image), name="net")


@needs_compiler
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


@needs_compiler
def test_pixels_quantized_for_another_range_are_found(tmp_path, monkeypatch):
    model = vector_net(3, "softmax")
    state_contract(model, report=False, pixels="0..1")
    subject = subject_of(model, tmp_path)
    conditions = c_source._conditions
    monkeypatch.setattr(c_source, "_conditions", lambda *args: conditions(*args) | {"raw_pixels": True})
    assert list(failed(c_source_check.compile_source(subject))) == ["rounding of pixels"]


def check_syntax(project, *files):
    options = [*c_source_check.OPTIONS, "-fsyntax-only", f"-I{project}/src", f"-I{STUBS}"]
    for file in files or ("app/main.cpp", f"{project.name}.ino"):
        subprocess.run(["g++", *options, "-x", "c++", project / file], check=True)


@needs_compiler
def test_examples_compile(edge):
    check_syntax(edge / "lenet5_int8")


@needs_compiler
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


@pytest.mark.skipif(not shutil.which("cmake"), reason="there is no cmake here")
def test_project_builds_the_model_without_tensorflow_lite_micro(edge, tmp_path):
    done = subprocess.run(
        ["cmake", "-S", edge / "lenet5_int8", "-B", tmp_path], check=True, capture_output=True, text=True
    )
    assert "Without TFLM_LIBRARY only the model is built" in done.stdout
    subprocess.run(["cmake", "--build", tmp_path], check=True, capture_output=True)
    assert (tmp_path / "liblenet5_int8.a").is_file()


@needs_micro
@pytest.mark.parametrize("layer", [keras.layers.Conv2DTranspose(8, 3, strides=2), keras.layers.SeparableConv2D(32, 3)])
@pytest.mark.parametrize("kind", ["tflite-int8", "tflite-int16x8"])
def test_estimated_arena_is_sufficient(layer, kind, tmp_path):
    content = subject_of(net(layer, shape=(12, 12, 3)), tmp_path, kind=kind).path.read_bytes()
    assert smallest_arena(content) <= estimate_arena(content) < 2.5 * smallest_arena(content)


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


@pytest.mark.parametrize("npu", vela.ACCELERATORS)
def test_vela_compiles_all_operators_for_the_npu(edge, checks, npu):
    check = checks[f"Vela for {npu}"]
    assert check.status == "passed"
    assert {node.operator for node in tflite_nodes((edge / check.files[0]).read_bytes())} == {vela.NPU}
    assert min(check.facts[name] for name in ("cycles", "inferences_per_second", "sram_bytes", "macs")) > 0
    assert any(gate.name == "sram_bytes" and gate.bar == 32_000 for gate in check.gates)


@pytest.mark.parametrize(
    ("name", "tool"),
    [
        ("tflite-micro", "TensorFlow Lite Micro"),
        ("vela-u55", "Vela"),
        pytest.param("c-source", "g++", marks=needs_compiler),
    ],
)
def test_tool_that_hangs_fails(name, tool, tmp_path, monkeypatch):
    subject = subject_of(net(), tmp_path)
    monkeypatch.setattr(c_source_check, "_arena_bytes", lambda _: None)  # another tool
    monkeypatch.setattr(subprocesses, "MAX_SECONDS", 0.01)
    check = run_check(name, subject)
    assert failed(check) == {"ran": f"{tool} did not finish within 0.01 s"}


def test_edge_tpu_is_not_compiled(checks):
    assert checks["Edge TPU"].status == "skipped"
    assert "not compiled: run edgetpu_compiler on lenet5-int8.tflite" in checks["Edge TPU"].skipped
    assert checks["Edge TPU"].files == ()


@pytest.mark.parametrize(
    ("check", "install"),
    [
        ("tflite-micro", "pip install 'pocketzoo[edge]'"),
        ("vela-u55", "pip install 'pocketzoo[edge]'"),
        ("c-source", "there is no g++"),
    ],
)
def test_missing_tools_are_reported_and_nothing_passes(check, install, tmp_path, monkeypatch):
    monkeypatch.setattr(artifact_check, "find_spec", lambda _: None)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    result = run_check(check, subject_of(net(), tmp_path))
    assert result.status == "skipped"
    assert install in result.skipped
    assert not result.gates


@pytest.mark.parametrize("name", LISTS)
def test_operator_lists_name_existing_operators_and_their_source(name):
    operators = operator_support.operator_list(name)
    assert set(operators.operators) <= set(OPERATOR_NAMES.values())
    assert operators.source


def test_fixes_are_for_existing_operators():
    assert set(operator_support._fixes()) <= set(OPERATOR_NAMES.values())


@needs_micro
def test_list_of_micro_matches_its_release():
    import tflite_micro as installed

    (library,) = Path(installed.__file__).parent.rglob("_runtime.so")
    content = library.read_bytes()
    rules = operator_support.operator_list("tflite_micro").operators
    assert [name for name in rules if f"Register_{name}E".encode() not in content] == []
    assert len({rule.added_by for rule in rules.values()}) == len(rules)


def test_lists_of_ethos_u_match_the_release_of_vela(tmp_path):
    command = [sys.executable, "-m", "ethosu.vela", "--supported-ops-report"]
    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True)
    report = (tmp_path / "SUPPORTED_OPS.md").read_text()
    for title, name in (("Ethos-U55 and Ethos-U65", "ethos_u55_u65"), ("Ethos-U85", "ethos_u85")):
        table = report.partition(f"## {title} TFLite Summary Table")[2].partition("\n## ")[0]
        assert set(re.findall(r"^\| ([A-Z0-9_]+) \|", table, re.MULTILINE)) == set(
            operator_support.operator_list(name).operators
        )


def test_gpu_delegate_refuses_tensors_of_five_axes(tmp_path):
    subject = subject_of(net(keras.layers.UpSampling2D(2, name="nearest")), tmp_path, kind="tflite-fp16")
    refused = list(operator_support.operator_list("gpu_delegate").refused(subject.path.read_bytes()))
    assert {refusal.node.layers for refusal in refused} == {("nearest",)}
    assert {refusal.reason for refusal in refused} == {"tensors of 5 axes, 4 at most"}
    assert "bilinear" in next(refusal.fix for refusal in refused if refusal.node.operator == "TILE")


def test_smallest_arena_of_an_invalid_file_is_refused():
    with pytest.raises(RefusedError):
        smallest_arena(b"no model at all, but long enough to be looked at")


def test_costs_on_the_devices_are_listed_with_the_files_that_vela_compiled(edge, checks):
    rows = device_rows(export.Manifest.load(edge / "manifest.json"))
    assert {row[0] for row in rows} == {"lenet5-int8.tflite"}
    assert {row[1] for row in rows} >= {"TensorFlow Lite Micro", "C++ source", *map(vela._title, vela.ACCELERATORS)}
    by_check = {row[1]: row for row in rows}
    vela_facts = checks["Vela for Ethos-U55"].facts
    assert by_check["TensorFlow Lite Micro"][2] == f"{checks['TensorFlow Lite Micro'].facts['arena_bytes']:,}"
    assert by_check["Vela for Ethos-U55"][2:] == (
        *(f"{vela_facts[name]:,}" for name in ("sram_bytes", "flash_bytes", "cycles")),
        f"{vela_facts['latency_ms']:.3f}",
        "lenet5-int8-ethos-u55-128.tflite",
    )


def test_budgets_are_gates_of_what_is_measured(checks):
    micro, source, npu = (checks[name] for name in ("TensorFlow Lite Micro", "C++ source", "Vela for Ethos-U85"))
    gates = {gate.name: gate for check in (micro, source) for gate in check.gates}
    assert (gates["arena_bytes"].status, gates["arena_bytes"].bar) == ("passed", 32_000)
    assert (gates["flash_bytes"].status, gates["flash_bytes"].bar) == ("passed", 128_000)
    assert (gates["latency_ms"].status, gates["latency_ms"].figure) == ("skipped", None)
    assert "time Invoke() on the board" in gates["latency_ms"].reason
    gates = {gate.name: gate for gate in npu.gates}
    assert {gates[name].status for name in ("flash_bytes", "sram_bytes", "latency_ms")} == {"passed"}
    assert gates["latency_ms"].reason == "Vela's estimate"
