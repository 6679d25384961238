"""A bundle for microcontrollers, Ethos-U and the Edge TPU, with the real tools."""

import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import yaml
from support.client_programs import run_cpp
from support.edge import check_syntax, failed

from pocketzoo import export, zoo
from pocketzoo.export.artifact.certificate import model_part
from pocketzoo.export.artifact.report import device_rows
from pocketzoo.export.loading import load_artifact
from pocketzoo.export.readme.programs import snippet_text
from pocketzoo.export.readme.runnable_files import files_of
from pocketzoo.export.runtimes import subprocesses
from pocketzoo.export.runtimes.tflite_micro import RefusedError, run_in_micro
from pocketzoo.export.tflite_schema.flatbuffer import unpack_model
from pocketzoo.export.tflite_schema.nodes import tflite_nodes
from pocketzoo.export.validation import c_source
from pocketzoo.export.validation.checks import artifact_check, vela
from pocketzoo.export.validation.checks import c_source as c_source_check
from pocketzoo.export.validation.checks.check_registry import run_check

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
def test_example_prints_what_keras_predicts(edge, trained, tmp_path):
    """On its gray image, with LiteRT behind a stub of TensorFlow Lite Micro."""
    for file in (edge / "lenet5-int8.tflite", *(edge / "lenet5_int8/src").iterdir()):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    text = snippet_text("cpp-micro", files_of(export.Manifest.load(edge / "manifest.json"), edge), "the bundle")
    ((label, percent),) = run_cpp(text, tmp_path, "lenet5-int8.tflite", "lenet5_int8.cpp")
    expected = trained(np.full((1, 32, 32, 1), 128, "float32"), training=False).numpy()[0]
    assert label == trained.layers[-1].labels[expected.argmax()]
    assert percent == pytest.approx(100 * expected.max(), abs=5)


@needs_compiler
def test_examples_compile(edge):
    check_syntax(edge / "lenet5_int8")


@pytest.mark.skipif(not shutil.which("cmake"), reason="there is no cmake here")
def test_project_builds_the_model_without_tensorflow_lite_micro(edge, tmp_path):
    done = subprocess.run(
        ["cmake", "-S", edge / "lenet5_int8", "-B", tmp_path], check=True, capture_output=True, text=True
    )
    assert "Without TFLM_LIBRARY only the model is built" in done.stdout
    subprocess.run(["cmake", "--build", tmp_path], check=True, capture_output=True)
    assert (tmp_path / "liblenet5_int8.a").is_file()


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
def test_tool_that_hangs_fails(name, tool, small, monkeypatch):
    monkeypatch.setattr(c_source_check, "_arena_bytes", lambda _: None)  # another tool
    monkeypatch.setattr(subprocesses, "MAX_SECONDS", 0.01)
    check = run_check(name, small)
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
def test_missing_tools_are_reported_and_nothing_passes(check, install, small, monkeypatch):
    monkeypatch.setattr(artifact_check, "find_spec", lambda _: None)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    result = run_check(check, small)
    assert result.status == "skipped"
    assert install in result.skipped
    assert not result.gates


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
