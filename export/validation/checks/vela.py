"""Vela, Arm's compiler for the Ethos-U NPUs. Compiled files cannot run here, so the input of Vela is validated.

That input is the artifact, which LiteRT validates anyway, or a file with rewritten operators, which is validated here.
"""

import csv
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from ...artifact.manifest import Check, Gate
from ...artifact.tflite_embedding import append_labels_of
from ...runtimes.subprocesses import run_command
from ...tflite_schema.nodes import Node, tflite_nodes
from ...tflite_schema.operator_support import Refusal, summarize
from ..c_source import array_content
from .artifact_check import ArtifactCheck, Subject, budget_gates, operator_gate, requires_module
from .rewritten_graph import rewrite_artifact, validate_rewritten

NPU = "ethos-u"
"""Custom operator that represents everything that runs on the NPU."""
NO_ROOM, UNCHAINED = "Failed to allocate tensors", "--disable-chaining"
"""The error of Vela 5.2.0 where the chains of operations that it plans for an Ethos-U85 need more SRAM than available
(by 1 % in EfficientNet-B7), and the option that disables chains: then the same file compiles."""
REQUIREMENT = requires_module("ethosu", "ethos-u-vela", "edge")
BASES = {
    "flash_bytes": "the compiled file alone, without the code that runs it",
    "latency_ms": "Vela's estimate",
    "sram_bytes": "Vela's estimate",
}
"""What the figures of budgets are."""


class VelaError(RuntimeError):
    """Vela failed to compile a file; the message is the last line of its output."""


@dataclass(frozen=True)
class Accelerator:
    """An NPU and its system configuration, named as in Vela's own `Arm/vela.ini`."""

    name: str
    system: str
    memory: str
    operators: str
    """Name of its operator list."""


ACCELERATORS = {
    "Ethos-U55": Accelerator("ethos-u55-128", "Ethos_U55_High_End_Embedded", "Shared_Sram", "ethos_u55_u65"),
    "Ethos-U65": Accelerator("ethos-u65-256", "Ethos_U65_High_End", "Dedicated_Sram_384KB", "ethos_u55_u65"),
    "Ethos-U85": Accelerator("ethos-u85-256", "Ethos_U85_SYS_DRAM_Mid", "Dedicated_Sram_384KB", "ethos_u85"),
}


@dataclass(frozen=True)
class CompiledModel:
    """A model that Vela compiled."""

    content: bytes
    """A TFLite file in which custom operators represent what runs on the NPU."""
    figures: dict[str, float | int]
    """Vela's estimates: cycles, inferences per second, memory; and `flash_bytes`, the size of the compiled file."""
    options: tuple[str, ...] = ()
    """Additional options without which it does not compile."""

    @property
    def on_cpu(self) -> list[Node]:
        """The operators that stay on the CPU."""
        return [node for node in tflite_nodes(self.content) if node.operator != NPU]


def compile_and_validate(npu: str, subject: Subject) -> Check:
    """Compile for one of `ACCELERATORS`, and validate the input of the compiler where it is not the artifact itself."""
    accelerator, title = ACCELERATORS[npu], _title(npu)
    release, content = version("ethos-u-vela"), rewrite_artifact(subject, accelerator.operators)
    try:
        compiled = compile_for(accelerator, content)
    except VelaError as error:
        gate = Gate.measured("compiles", 0, ">=", 1, reason=str(error))
        return Check(name=title, version=release, gates=(gate,))
    file = subject.path.with_name(f"{subject.path.stem}-{accelerator.name}.tflite")
    file.write_bytes(append_labels_of(content, compiled.content))
    on_cpu = [Refusal(node, "left to the CPU") for node in compiled.on_cpu]
    gates = (
        Gate.measured("compiles", 1, ">=", 1),
        operator_gate(subject, "operators_on_cpu", "operators on the CPU", len(on_cpu), summarize(on_cpu)),
        *budget_gates(subject.thresholds, compiled.figures, BASES),
    )
    system = (accelerator.name, accelerator.system, accelerator.memory, *compiled.options)
    facts = compiled.figures | {"system": ", ".join(system)}
    check = validate_rewritten(content, subject)
    return check.model_copy(
        update={
            "name": title,
            "version": release,
            "gates": (*gates, *check.gates),
            "facts": facts | check.facts,
            "files": (file.name,),
        }
    )


def compile_for(accelerator: Accelerator, content: bytes) -> CompiledModel:
    """Compile a TFLite file; without chains of operations, where these do not fit into memory.

    Raises:
        VelaError: Vela fails.
    """
    try:
        return _compile(accelerator, content)
    except VelaError as error:
        if NO_ROOM not in str(error):
            raise
    return _compile(accelerator, content, UNCHAINED)


def _compile(accelerator: Accelerator, content: bytes, *more: str) -> CompiledModel:
    with TemporaryDirectory() as folder:
        path = Path(folder, "model.tflite")
        path.write_bytes(array_content(content))  # Vela would copy it to the flash
        options = {
            "--accelerator-config": accelerator.name,
            "--system-config": accelerator.system,
            "--memory-mode": accelerator.memory,
            "--config": "Arm/vela.ini",
            "--output-dir": folder,
        }
        words = [word for option in options.items() for word in option]
        command = [sys.executable, "-P", "-m", "ethosu.vela", str(path), *words, *more]
        done = run_command("Vela", command)
        if done.returncode:
            raise VelaError(_last_line(done))
        (compiled,), (summary,) = Path(folder).glob("*_vela.tflite"), Path(folder).glob("*_summary_*.csv")
        content = compiled.read_bytes()
        with summary.open(newline="") as lines:
            return CompiledModel(content, _read_figures(next(csv.DictReader(lines)), len(content)), more)


def _read_figures(row: dict[str, str], file_bytes: int) -> dict[str, float | int]:
    return {
        "cycles": int(float(row["cycles_total"])),
        "inferences_per_second": round(float(row["inferences_per_second"]), 2),
        "latency_ms": float(f"{1000 * float(row['inference_time']):.6g}"),
        "sram_bytes": _to_bytes(row["sram_memory_used"]),
        "dram_bytes": _to_bytes(row["dram_memory_used"]),
        "flash_bytes": file_bytes,  # it is stored whole, with what Vela places in other memory at run time
        "macs": int(float(row["nn_macs"])),
    }


def _to_bytes(kibibytes: str) -> int:
    return round(float(kibibytes) * 1024)


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stderr + done.stdout).strip().splitlines()
    return next((line for line in reversed(lines) if line.strip()), f"Vela exited with code {done.returncode}")


def check_name(npu: str) -> str:
    """Name of the check for an NPU, such as `vela-u55`."""
    return f"vela-{npu.partition('-')[2].lower()}"


def _title(npu: str) -> str:
    return f"Vela for {npu}"


def _check(npu: str) -> ArtifactCheck:
    run: Callable[[Subject], Check] = partial(compile_and_validate, npu)
    thresholds = ("sram_bytes", "operators_on_cpu", "flash_bytes", "latency_ms")
    return ArtifactCheck(check_name(npu), _title(npu), run, (REQUIREMENT,), thresholds=thresholds)


CHECKS = tuple(map(_check, ACCELERATORS))
