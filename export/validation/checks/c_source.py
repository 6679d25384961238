"""C++ source for microcontrollers, compiled and executed on this machine."""

import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from ...artifact.artifact import Artifact
from ...artifact.manifest import Check, Gate
from ...artifact.metadata import Metadata
from ...artifact.tensors import TensorInfo, to_range
from ...loading import load_artifact
from ...runtimes.subprocesses import run_command
from ...runtimes.tflite_micro import RefusedError, smallest_arena
from ...tflite_schema.arena_estimate import estimate_arena
from ...tflite_schema.operator_support import operator_list
from ..c_source import array_content, project_folder, write_c_source
from . import tflite_micro
from .artifact_check import ArtifactCheck, Requirement, Subject, budget_gates

TITLE = "C++ source"
MAX_BYTES = 2**24
"""Largest model: more than the flash of microcontrollers, and compilers take minutes for its array."""
COMPILERS = ("g++", "clang++", "c++")
OPTIONS = ("-std=c++17", "-Wall", "-Wextra", "-Werror")
MAX_ROUNDING = 0.51
"""In steps: half a step, and what float32 adds."""
BASES = {"flash_bytes": "the array of the model alone, without the code of TensorFlow Lite Micro"}
"""What the figures of budgets are."""
NOT_MEASURED = {"latency_ms": "nothing here measures the time on a microcontroller; time Invoke() on the board"}
PROGRAM = """\
#include <cstdio>

#include "{name}.h"

using namespace {name};

int main() {{
  std::fwrite(kModel, 1, kModelBytes, stdout);
  std::fprintf(stderr, "%d %.9g %d %.9g %d\\n", static_cast<int>(reinterpret_cast<std::uintptr_t>(kModel) % 16),
               kInputScale, kInputZeroPoint, kOutputScale, kOutputZeroPoint);
  for (int pixel = 0; pixel < 256; ++pixel) std::fprintf(stderr, "%d ", static_cast<int>(Quantize(pixel)));
  std::fprintf(stderr, "\\n");
  for (const char* label : kLabels) std::fprintf(stderr, "%s%c", label, 0);
}}
"""


def compile_source(subject: Subject) -> Check:
    """Write the project beside the artifact, and check that a program with its sources outputs the same bytes.

    The example is not compiled: it needs TensorFlow Lite Micro's own headers (see `emulation`).
    """
    content = subject.path.read_bytes()
    model = array_content(content)
    array_bytes = len(model)
    budgets = budget_gates(subject.thresholds, {"flash_bytes": array_bytes}, BASES, NOT_MEASURED)
    check = Check(name=TITLE, gates=budgets, facts={"flash_bytes": array_bytes})
    if array_bytes > MAX_BYTES:
        reason = f"{array_bytes:,} bytes are more than the flash of microcontrollers"
        return check.model_copy(update={"skipped": reason})
    refusal = next(operator_list("tflite_micro").refused(content), None)
    if refusal:
        gate = Gate.measured("operators refused", 1, "<=", 0, reason=refusal.sentence)
        return check.model_copy(update={"gates": (gate, *budgets)})
    artifact = load_artifact(subject.path)
    files = write_project(artifact, subject)
    check = check.model_copy(update={"files": tuple(str(file.relative_to(subject.path.parent)) for file in files)})
    compiler = _find_compiler()
    if compiler is None:
        return check.model_copy(update={"skipped": f"there is no {' or '.join(COMPILERS)} to compile it with"})
    array, aligned, constants, integers = _compile_and_run(compiler, project_folder(subject.path))
    expected = _expected_constants(artifact.input, artifact.output, subject.metadata)
    gates = (
        Gate.measured("bytes as in the file", float(array == model), ">=", 1),
        Gate.measured("aligned to 16 bytes", float(aligned), ">=", 1),
        Gate.measured("constants as in the file", float(constants == expected), ">=", 1),
        Gate.measured("rounding of pixels", _rounding(integers, artifact.input, subject.metadata), "<=", MAX_ROUNDING),
    )
    return check.model_copy(update={"version": _compiler_version(compiler), "gates": (*gates, *budgets)})


def write_project(artifact: Artifact, subject: Subject) -> tuple[Path, ...]:
    """Write the project with the smallest arena, or an estimate; returns its files."""
    return write_c_source(artifact, subject.metadata, _arena_bytes(subject.path.read_bytes()), subject.example)


def arena_bytes(content: bytes) -> int:
    """Size of the arena in the project."""
    return _arena_bytes(content) or estimate_arena(content)


def _find_compiler() -> str | None:
    return next(filter(shutil.which, COMPILERS), None)


def _arena_bytes(content: bytes) -> int | None:
    """The smallest arena; None where TensorFlow Lite Micro is missing or refuses the model, which it reports itself."""
    if not tflite_micro.REQUIREMENT.is_met():
        return None
    try:
        return smallest_arena(content)
    except RefusedError:
        return None


def _compile_and_run(compiler: str, project: Path) -> tuple[bytes, bool, list[str], list[int]]:
    """What a compiled program outputs: the array, whether it is aligned, constants and labels, the quantized pixels."""
    with TemporaryDirectory() as folder:
        main, program = Path(folder, "main.cc"), Path(folder, "program")
        main.write_text(PROGRAM.format(name=project.name), encoding="ascii")
        sources = project / "src"
        files = [str(file) for file in (main, sources / f"{project.name}.cpp", "-o", program)]
        command = [compiler, *OPTIONS, f"-I{sources}", *files]
        built = run_command(compiler, command)
        if built.returncode:
            raise RuntimeError(f"{compiler} does not compile it: {built.stderr.strip()}")
        done = subprocess.run([program], check=True, capture_output=True)
    constants, pixels, labels = done.stderr.decode().split("\n", 2)
    offset, *numbers = constants.split()
    return done.stdout, offset == "0", [*numbers, *labels.split("\0")[:-1]], [int(pixel) for pixel in pixels.split()]


def _expected_constants(input_: TensorInfo, output: TensorInfo, metadata: Metadata) -> list[str]:
    tensors = (f"{tensor.scale:.9g} {tensor.zero_point}".split() for tensor in (input_, output))
    return [word for words in tensors for word in words] + list(metadata.labels)


def _rounding(integers: list[int], image: TensorInfo, metadata: Metadata) -> float:
    """How far the quantized pixels 0..255 are from what `predict` feeds before it rounds, in steps."""
    exact = to_range(np.arange(256, dtype="uint8"), metadata.pixel_range) / np.float64(image.scale) + image.zero_point
    limits = np.iinfo(image.dtype)
    return float(np.abs(integers - np.clip(exact, limits.min, limits.max)).max())


def _compiler_version(compiler: str) -> str:
    """The first line of `--version`; compilers have no common format."""
    return subprocess.run([compiler, "--version"], check=True, capture_output=True, text=True).stdout.partition("\n")[0]


CHECKS = (
    ArtifactCheck(
        "c-source",
        TITLE,
        compile_source,
        (Requirement("a C++ compiler", f"a compiler: {' or '.join(COMPILERS)}", lambda: _find_compiler() is not None),),
        runs_partly=True,  # the source is written in any case
        thresholds=("flash_bytes", "latency_ms"),
    ),
)
