"""Programs for Cortex-M on a board that QEMU emulates, with a small stand-in for TensorFlow Lite Micro."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from support.edge import net, subject_of

from pocketzoo.export.runtimes import cortex_m
from pocketzoo.export.validation.checks import c_source
from pocketzoo.export.validation.checks import cortex_m as check
from pocketzoo.export.validation.checks.check_registry import run_check

TOOLS = (cortex_m.COMPILER, cortex_m.QEMU, cortex_m.CMAKE)
pytestmark = pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"needs {', '.join(TOOLS)}")
HEADERS = {
    "tensorflow/lite/schema/schema_generated.h": """
        namespace tflite { struct Model; inline const Model* GetModel(const void*) { return nullptr; } }""",
    "tensorflow/lite/micro/micro_mutable_op_resolver.h": """
        namespace tflite { template <unsigned n> struct MicroMutableOpResolver {
          void AddConv2D() {} void AddFullyConnected() {} void AddMean() {} void AddSoftmax() {} }; }""",
    "tensorflow/lite/micro/micro_interpreter.h": """
        #include <cstddef>
        #include <cstdint>
        enum TfLiteStatus { kTfLiteOk, kTfLiteError };
        struct TfLiteTensor { union { std::int8_t* int8; std::int16_t* i16; } data; };
        namespace tflite {
        struct Model;
        struct MicroInterpreter {
          template <typename R>
          MicroInterpreter(const Model*, const R&, std::uint8_t* arena, std::size_t bytes) : bytes_(bytes) {
            tensors_[0].data.int8 = reinterpret_cast<std::int8_t*>(arena);
            tensors_[1].data.int8 = reinterpret_cast<std::int8_t*>(arena) + 1024;
          }
          TfLiteStatus AllocateTensors() { return bytes_ < 2048 ? kTfLiteError : kTfLiteOk; }
          TfLiteStatus Invoke();
          TfLiteTensor* input(std::size_t) { return &tensors_[0]; }
          TfLiteTensor* output(std::size_t) { return &tensors_[1]; }
          std::size_t arena_used_bytes() const { return bytes_; }
          TfLiteTensor tensors_[2];
          std::size_t bytes_;
        };
        }""",
}
"""The parts of TensorFlow Lite Micro's interface that the programs use."""
SOURCE = """
#include "tensorflow/lite/micro/micro_interpreter.h"
static volatile float half = 0.5f;  // through the library of the compiler, or the FPU
TfLiteStatus tflite::MicroInterpreter::Invoke() {
  for (int i = 0; i < 4; ++i) output(0)->data.int8[i] = input(0)->data.int8[i] * half;
  return kTfLiteOk;
}
"""
"""A net whose outputs are half of the first inputs."""


@pytest.fixture(scope="module", params=["soft", "hard"])
def library(request, tmp_path_factory):
    """The stand-in as a library, with its headers beside it."""
    folder = tmp_path_factory.mktemp("library")
    for name, text in HEADERS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"#pragma once\n{text}")
    (folder / "net.cc").write_text(SOURCE)
    options = ["-mcpu=cortex-m4", "-mthumb", f"-mfloat-abi={request.param}", "-Os", f"-I{folder}"]
    subprocess.run([cortex_m.COMPILER, *options, "-c", folder / "net.cc", "-o", folder / "net.o"], check=True)
    library = folder / "libtensorflow-microlite.a"
    subprocess.run(["arm-none-eabi-ar", "rcs", library, folder / "net.o"], check=True)
    return library


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
    return subject_of(net(shape=(8, 8, 3)), tmp_path_factory.mktemp("subject"))


@pytest.fixture
def named_library(library, monkeypatch):
    """Named by relative paths."""
    monkeypatch.chdir(library.parent)
    monkeypatch.setenv(cortex_m.LIBRARY, library.name)
    monkeypatch.setenv(cortex_m.INCLUDE, os.pathsep.join([".", "/nowhere"]))
    return library


def test_program_reads_images_and_writes_the_outputs_of_the_library(named_library, subject, monkeypatch):
    seen = {}
    compare = check.compare_outputs
    monkeypatch.setattr(
        check, "compare_outputs", lambda outputs, *args: seen.update(o=outputs) or compare(outputs, *args)
    )
    result = run_check("cortex-m", subject)
    artifact = check.load_artifact(subject.path)
    inputs = check.input_tensors(artifact, subject.reference)
    expected = np.trunc(inputs.reshape(len(inputs), -1)[:, :4] / 2)
    np.testing.assert_array_equal(seen["o"], expected)
    assert result.status == "failed"  # they are not those of the net
    assert {gate.name for gate in result.gates if gate.status == "failed"} >= {"relative difference"}
    facts, content = result.facts, check.array_content(subject.path.read_bytes())
    assert facts["processor"] == "Cortex-M4, mps2-an386"
    assert facts["largest_difference_from_litert"] > 0
    assert facts["text_bytes"] > len(content)
    assert facts["bss_bytes"] > c_source.arena_bytes(subject.path.read_bytes())


def test_library_for_another_processor_is_refused(subject, tmp_path, monkeypatch):
    (tmp_path / "net.cc").write_text("int x;")
    subprocess.run([cortex_m.COMPILER, "-mcpu=cortex-m55", "-c", "net.cc", "-o", "net.o"], check=True, cwd=tmp_path)
    with pytest.raises(
        RuntimeError, match=r"was compiled for v8.1-M.mainline; emulated are Cortex-M3, Cortex-M4, Cort"
    ):
        cortex_m.processor_of(tmp_path / "net.o")
    monkeypatch.setenv(cortex_m.LIBRARY, str(tmp_path / "gone.a"))
    (gate,) = run_check("cortex-m", subject).gates
    assert "gone.a, which POCKETZOO_TFLM_LIBRARY names, is no library for Arm processors" in gate.reason


def test_without_a_library_the_check_says_which_variable_names_it(subject, monkeypatch):
    monkeypatch.delenv(cortex_m.LIBRARY, raising=False)
    result = run_check("cortex-m", subject)
    assert "set POCKETZOO_TFLM_LIBRARY to libtensorflow-microlite.a" in result.skipped
    assert not result.gates
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert run_check("cortex-m", subject).skipped.startswith("arm-none-eabi-g++ is not installed: apt install gcc-arm")


def test_emulated_boards_have_the_memory_of_the_linker_script():
    script = (cortex_m.EMULATION / "mps2.ld").read_text()
    assert script.count(f"LENGTH = {cortex_m.BOARD_BYTES >> 20}M") == 2
    assert set(cortex_m.PROCESSORS.values()) <= cortex_m.BOARDS.keys()


def test_templates_are_package_data():
    folder = Path(cortex_m.__file__).parents[1] / "microcontroller"
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} >= {
        ".ino",
        ".ld",
        ".cpp",
        ".h",
        ".yml",
        ".conf",
    }
