"""C++ source for microcontrollers, compiled on this machine."""

import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from ...artifact.manifest import Check, Gate
from ...artifact.metadata import Metadata
from ...artifact.tensors import TensorInfo
from ...loading import load_artifact
from ...runtimes.subprocesses import ended
from ...runtimes.tflite_micro import RefusedError, smallest_arena
from ...tflite_schema.operator_support import operator_list
from ..c_source import c_name, write_c_source
from .subject import Subject

NAME = "C++ source"
MOST_BYTES = 2**24
"""Of a model; beyond the flash of microcontrollers, and compilers take minutes for its array."""
COMPILERS = ("g++", "clang++", "c++")
OPTIONS = ("-std=c++17", "-Wall", "-Wextra", "-Werror")
PROGRAM = """\
#include <cstdio>

#include "{stem}.h"

using namespace {namespace};

int main() {{
  std::fwrite(kModel, 1, kModelBytes, stdout);
  std::fprintf(stderr, "%d %.9g %d %.9g %d\\n", static_cast<int>(reinterpret_cast<std::uintptr_t>(kModel) % 16),
               kInputScale, kInputZeroPoint, kOutputScale, kOutputZeroPoint);
  for (const char* label : kLabels) std::fprintf(stderr, "%s%c", label, 0);
}}
"""


def compiled(subject: Subject) -> Check:
    """Header, array and example beside the artifact; a program with them gives the artifact's bytes back.

    The example is not compiled: it takes TensorFlow Lite Micro's own headers.
    """
    content = subject.path.read_bytes()
    if len(content) > MOST_BYTES:
        return Check(name=NAME, skipped=f"{len(content):,} bytes are more than microcontrollers have flash for")
    refusal = next(operator_list("tflite_micro").refused(content), None)
    if refusal:
        return Check(name=NAME, gates=(Gate.measured("operators refused", 1, "<=", 0, reason=refusal.sentence),))
    artifact = load_artifact(subject.path)
    files = write_c_source(artifact, subject.metadata, _arena(content))
    names = tuple(file.name for file in files)
    compiler = next(filter(shutil.which, COMPILERS), None)
    if compiler is None:
        return Check(name=NAME, skipped=f"there is no {' or '.join(COMPILERS)} here to compile it", files=names)
    bytes_, aligned, rest = _compiled_and_run(compiler, files[1])
    gates = (
        Gate.measured("bytes as in the file", float(bytes_ == content), ">=", 1),
        Gate.measured("aligned to 16 bytes", float(aligned), ">=", 1),
        Gate.measured(
            "constants as in the file",
            float(rest == _expected(artifact.input, artifact.output, subject.metadata)),
            ">=",
            1,
        ),
    )
    return Check(name=NAME, version=_version(compiler), gates=gates, files=names)


def _arena(content: bytes) -> int | None:
    if find_spec("tflite_micro") is None:
        return None
    try:
        return smallest_arena(content)
    except RefusedError:  # which the check of its own says
        return None


def _compiled_and_run(compiler: str, source: Path) -> tuple[bytes, bool, list[str]]:
    """The array as a program has it, whether it is aligned, and the constants and labels as it prints them."""
    with TemporaryDirectory() as folder:
        main, program = Path(folder, "main.cc"), Path(folder, "program")
        main.write_text(PROGRAM.format(stem=source.stem, namespace=c_name(source.stem)), encoding="ascii")
        command = [compiler, *OPTIONS, f"-I{source.parent}", main, source, "-o", program]
        built = ended(compiler, command)
        if built.returncode:
            raise RuntimeError(f"{compiler} does not compile it: {built.stderr.strip()}")
        done = subprocess.run([program], check=True, capture_output=True)
    constants, _, labels = done.stderr.decode().partition("\n")
    offset, *numbers = constants.split()
    return done.stdout, offset == "0", [*numbers, *labels.split("\0")[:-1]]


def _expected(input_: TensorInfo, output: TensorInfo, metadata: Metadata) -> list[str]:
    tensors = (f"{tensor.scale:.9g} {tensor.zero_point}".split() for tensor in (input_, output))
    return [word for words in tensors for word in words] + list(metadata.labels)


def _version(compiler: str) -> str:
    """The first line of what it says of itself, which each does in its own way."""
    return subprocess.run([compiler, "--version"], check=True, capture_output=True, text=True).stdout.partition("\n")[0]
