"""Vela, Arm's compiler for the Ethos-U NPUs. What it compiles cannot run here: the answers are those of its input.

That is the artifact, already proven on LiteRT; where the artifact takes another form for Ethos-U, that is proven too.
"""

import csv
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from ...artifact.manifest import Check, Gate
from ...artifact.metadata import append_labels
from ...runtimes.subprocesses import ended
from ...tflite_schema.nodes import Node, tflite_nodes
from ...tflite_schema.operator_support import Refusal, in_few_words
from .budget import within_budget, within_tolerance
from .other_form import fitted, proven
from .subject import Subject

NPU = "ethos-u"
"""Custom operator that stands for everything that runs on the NPU."""
NO_ROOM, UNCHAINED = "Failed to allocate tensors", "--disable-chaining"
"""What Vela 5.2.0 says where the chains of operations that it has planned for an Ethos-U85 take more SRAM than there
is, by 1 % in EfficientNet-B7, and what makes it plan none: then the same file finds room."""


class VelaError(RuntimeError):
    """Vela does not compile a file; the message has its last words."""


@dataclass(frozen=True)
class Accelerator:
    """An NPU with the system around it, by their names in the `Arm/vela.ini` that Vela brings."""

    name: str
    system: str
    memory: str
    operators: str
    """Name of the list of the operators that it accepts."""


ACCELERATORS = {
    "Ethos-U55": Accelerator("ethos-u55-128", "Ethos_U55_High_End_Embedded", "Shared_Sram", "ethos_u55_u65"),
    "Ethos-U65": Accelerator("ethos-u65-256", "Ethos_U65_High_End", "Dedicated_Sram_384KB", "ethos_u55_u65"),
    "Ethos-U85": Accelerator("ethos-u85-256", "Ethos_U85_SYS_DRAM_Mid", "Dedicated_Sram_384KB", "ethos_u85"),
}


@dataclass(frozen=True)
class Compiled:
    """What Vela made of a model."""

    content: bytes
    """A TFLite file in which custom operators stand for what runs on the NPU."""
    figures: dict[str, float | int]
    """Its estimates: cycles, inferences a second, memory."""
    options: tuple[str, ...] = ()
    """What it was asked for besides, to compile it at all."""

    @property
    def on_cpu(self) -> list[Node]:
        """The operators that it left to the CPU."""
        return [node for node in tflite_nodes(self.content) if node.operator != NPU]


def compiled_for(npu: str) -> Callable[[Subject], Check]:
    """A check that compiles for one of `ACCELERATORS`."""
    return lambda subject: _check(npu, ACCELERATORS[npu], subject)


def _check(npu: str, accelerator: Accelerator, subject: Subject) -> Check:
    name = f"Vela for {npu}"
    if find_spec("ethosu") is None:
        return Check(name=name, skipped="ethos-u-vela is not installed: pip install 'pocketzoo[edge]'")
    release, content = version("ethos-u-vela"), fitted(subject, accelerator.operators)
    try:
        compiled = compile_for(accelerator, content)
    except VelaError as error:
        gate = Gate.measured("compiles", 0, ">=", 1, reason=str(error))
        return Check(name=name, version=release, gates=(gate,))
    file = subject.path.with_name(f"{subject.path.stem}-{accelerator.name}.tflite")
    file.write_bytes(append_labels(compiled.content, subject.metadata.labels))
    left = [Refusal(node, "left to the CPU") for node in compiled.on_cpu]
    gates = (
        Gate.measured("compiles", 1, ">=", 1),
        within_tolerance(subject, "operators_on_cpu", "operators on the CPU", len(left), in_few_words(left)),
        *within_budget(subject, compiled.figures),
    )
    system = (accelerator.name, accelerator.system, accelerator.memory, *compiled.options)
    facts = compiled.figures | {"system": ", ".join(system)}
    proof = proven(content, subject)
    found = {"version": release, "gates": (*gates, *proof.gates), "facts": facts | proof.facts, "files": (file.name,)}
    return proof.model_copy(update={"name": name, **found})


def compile_for(accelerator: Accelerator, content: bytes) -> Compiled:
    """Compiles a TFLite file; without chains of operations, where these take more memory than there is.

    Raises:
        VelaError: Vela does not.
    """
    try:
        return _compiled(accelerator, content)
    except VelaError as error:
        if NO_ROOM not in str(error):
            raise
    return _compiled(accelerator, content, UNCHAINED)


def _compiled(accelerator: Accelerator, content: bytes, *more: str) -> Compiled:
    with TemporaryDirectory() as folder:
        path = Path(folder, "model.tflite")
        path.write_bytes(content)
        options = {
            "--accelerator-config": accelerator.name,
            "--system-config": accelerator.system,
            "--memory-mode": accelerator.memory,
            "--config": "Arm/vela.ini",
            "--output-dir": folder,
        }
        words = [word for option in options.items() for word in option]
        command = [sys.executable, "-P", "-m", "ethosu.vela", str(path), *words, *more]
        done = ended("Vela", command)
        if done.returncode:
            raise VelaError(_last_words(done))
        (compiled,), (summary,) = Path(folder).glob("*_vela.tflite"), Path(folder).glob("*_summary_*.csv")
        with summary.open(newline="") as lines:
            return Compiled(compiled.read_bytes(), _figures(next(csv.DictReader(lines))), more)


def _figures(row: dict[str, str]) -> dict[str, float | int]:
    return {
        "cycles": int(float(row["cycles_total"])),
        "inferences_per_second": round(float(row["inferences_per_second"]), 2),
        "sram_bytes": _bytes(row["sram_memory_used"]),
        "dram_bytes": _bytes(row["dram_memory_used"]),
        "flash_bytes": _bytes(row["on_chip_flash_memory_used"]) + _bytes(row["off_chip_flash_memory_used"]),
        "macs": int(float(row["nn_macs"])),
    }


def _bytes(kibibytes: str) -> int:
    return round(float(kibibytes) * 1024)


def _last_words(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stderr + done.stdout).strip().splitlines()
    return next((line for line in reversed(lines) if line.strip()), f"Vela ended with code {done.returncode}")
