"""The project for microcontrollers, built for an Arm Cortex-M and run on a board that QEMU emulates."""

import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from ...artifact.artifact import Artifact
from ...artifact.manifest import Check, Gate
from ...loading import load_artifact
from ...runtimes import cortex_m
from ...runtimes.cortex_m import EMULATION, Processor, build_program, emulate, memory_use
from ...tflite_schema.operator_support import operator_list
from ..c_source import array_content, fill, project_folder, values_of
from ..comparison import compare_outputs
from . import c_source
from .artifact_check import ArtifactCheck, Requirement, Subject, budget_gates
from .tflite_micro import input_tensors

NAME, TITLE = "cortex-m", "Cortex-M in QEMU"
BASES = {"flash_bytes": "the whole example, with TensorFlow Lite Micro"}
MAX_IMAGES, MIN_IMAGES, SECONDS = 50, 4, 20
"""Images, and the time for all of them."""
ROOM = cortex_m.BOARD_BYTES - 2**20
"""Largest model, and largest arena: the rest of the board's memory is for code, heap and stack."""


def run_on_cortex_m(subject: Subject) -> Check:
    """Build the example and a program that runs the images, and compare its outputs with those of Keras and LiteRT."""
    library, content = cortex_m.library_path(), subject.path.read_bytes()
    assert library is not None  # a requirement of the check
    processor = cortex_m.processor_of(library)
    refusal = next(operator_list("tflite_micro").refused(content), None)
    if refusal:
        return Check(name=TITLE, gates=(Gate.measured("operators refused", 1, "<=", 0, reason=refusal.sentence),))
    if max(len(array_content(content)), c_source.arena_bytes(content)) > ROOM:
        return Check(name=TITLE, skipped=f"the model or its arena does not fit into {ROOM:,} bytes of the board")
    artifact = load_artifact(subject.path)
    c_source.write_project(artifact, subject)
    with TemporaryDirectory() as folder:
        return _build_and_run(artifact, subject, library, processor, Path(folder))


def _build_and_run(artifact: Artifact, subject: Subject, library: Path, processor: Processor, folder: Path) -> Check:
    project, build = project_folder(subject.path), folder / "build"
    example = build_program(project, project / "app" / "main.cpp", library, build)
    memory = memory_use(example)
    emulate(example, processor, folder)
    main = folder / "main.cpp"
    main.write_text(fill((EMULATION / "main.cpp").read_text(encoding="ascii"), values_of(artifact, subject.metadata)))
    program = build_program(project, main, library, build)
    run = partial(_outputs, program, processor, folder, artifact)
    reference = subject.reference.at_most(MAX_IMAGES)
    start = time.perf_counter()
    run(input_tensors(artifact, reference.at_most(1)))
    reference = reference.at_most(max(MIN_IMAGES, int(SECONDS / (time.perf_counter() - start))))
    tensors = input_tensors(artifact, reference)
    outputs = run(tensors)
    in_litert = np.concatenate([artifact.invoke(tensor[None]) for tensor in tensors])
    facts: dict[str, float | int | str] = {
        "processor": f"{processor.name}, {processor.board}",
        "images": len(tensors),
        "text_bytes": memory.text,
        "bss_bytes": memory.bss,
        "flash_bytes": memory.text + memory.data,
        "largest_difference_from_litert": int(np.abs(outputs.astype("int64") - in_litert.astype("int64")).max()),
    }
    check = compare_outputs(outputs, reference, artifact.output.to_real).check(
        TITLE, cortex_m.qemu_version(), subject.format
    )
    gates = (*budget_gates(subject.thresholds, facts, BASES), *check.gates)
    return check.model_copy(update={"facts": facts | check.facts, "gates": gates})


def _outputs(program: Path, processor: Processor, folder: Path, artifact: Artifact, tensors: np.ndarray) -> np.ndarray:
    """Output tensors of the program, `(count, ...)`; raises RuntimeError where there are not as many as inputs."""
    tensors.tofile(folder / "inputs")
    emulate(program, processor, folder)
    outputs = np.fromfile(folder / "outputs", artifact.output.dtype)
    shape = (len(tensors), *artifact.output.shape[1:])
    if outputs.size != np.prod(shape):
        raise RuntimeError(f"the program wrote {outputs.size:,} values for {len(tensors)} images of shape {shape[1:]}")
    return outputs.reshape(shape)


def _needs(program: str, package: str) -> Requirement:
    return Requirement(program, f"apt install {package}", partial(cortex_m.is_installed, program))


CHECKS = (
    ArtifactCheck(
        NAME,
        TITLE,
        run_on_cortex_m,
        (
            _needs(cortex_m.COMPILER, "gcc-arm-none-eabi libnewlib-arm-none-eabi libstdc++-arm-none-eabi-newlib"),
            _needs(cortex_m.QEMU, "qemu-system-arm"),
            _needs(cortex_m.CMAKE, "cmake"),
            Requirement(
                "TensorFlow Lite Micro for Cortex-M",
                f"build it, set {cortex_m.LIBRARY} to libtensorflow-microlite.a, and {cortex_m.INCLUDE} to the folders "
                "of its headers and of flatbuffers, gemmlowp and ruy",
                lambda: cortex_m.library_path() is not None,
            ),
        ),
    ),
)
