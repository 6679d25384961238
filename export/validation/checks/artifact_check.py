"""What a check of an artifact is: its input, its requirements, and gates that several checks share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from ...artifact.manifest import Check, Gate
from ...artifact.metadata import Metadata
from ...example import Example
from ...formats import Format
from ..reference import Reference

NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Subject:
    """An artifact to be validated."""

    path: Path
    """The file, in the bundle's directory; a check writes its own files beside it."""
    format: Format
    """Its format, with the thresholds that apply."""
    metadata: Metadata
    """The metadata embedded in the file."""
    reference: Reference
    """Images and the outputs of the Keras model for them."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """Thresholds set by the user, by the name of a gate or, for budgets, of a fact such as `arena_bytes`."""
    example: Example | None = None
    """An image of the user's that may be in files of the bundle, unlike those of the reference."""


@dataclass(frozen=True)
class Requirement:
    """Something that a check needs on this machine."""

    name: str
    """Such as `openvino`."""
    install: str
    """The command or page that installs it."""
    is_met: Callable[[], bool]

    @property
    def sentence(self) -> str:
        """That it is not there, and how to install it."""
        return f"{self.name} is not installed: {self.install}"


@dataclass(frozen=True)
class ArtifactCheck:
    """A way to validate an artifact: a runtime, a compiler, an operator list."""

    name: str
    """Name in the table of targets, such as `tflite-micro`."""
    title: str
    """Name in manifests, such as `TensorFlow Lite Micro`."""
    run: Callable[[Subject], Check]
    requirements: tuple[Requirement, ...] = ()
    runs_partly: bool = False
    """Whether it still yields gates or files where a requirement is missing, and reports the skip itself."""
    timed: bool = True
    """Whether it measures latency, so that nothing else may run beside it."""
    thresholds: tuple[str, ...] = ()
    """Thresholds that it alone can apply: budgets and tolerances, such as `arena_bytes`."""
    named_tensors: bool = False
    """Whether it validates artifacts with several inputs or outputs."""

    @property
    def missing(self) -> Requirement | None:
        """The first requirement that is not met on this machine."""
        return next((requirement for requirement in self.requirements if not requirement.is_met()), None)


def requires_module(module: str, package: str, extra: str) -> Requirement:
    """Requirement of a Python package that an extra of pocketzoo installs."""
    return Requirement(package, f"pip install 'pocketzoo[{extra}]'", partial(_has_module, module))


def _has_module(module: str) -> bool:
    return find_spec(module) is not None


def budget_gates(
    thresholds: Mapping[str, float],
    facts: Mapping[str, float | int | str],
    bases: Mapping[str, str] = NOTHING,
    not_measured: Mapping[str, str] = NOTHING,
) -> tuple[Gate, ...]:
    """Gates for those of `facts` that the user set a threshold for, such as `arena_bytes`.

    Args:
        thresholds: What the user set.
        facts: Figures by name.
        bases: What a figure includes or who estimates it, where its name does not say; the reason of its gate.
        not_measured: Why there may be no figure, by name; its gate is skipped then.
    """
    gates = []
    for name, limit in thresholds.items():
        if name in facts:
            gates.append(Gate.measured(name, float(facts[name]), "<=", limit, bases.get(name)))
        elif name in not_measured:
            gates.append(Gate(name=name, status="skipped", operator="<=", bar=limit, reason=not_measured[name]))
    return tuple(gates)


def operator_gate(subject: Subject, threshold: str, gate: str, count: int, reason: str | None) -> Gate:
    """Gate on the number of operators that do not run where they should: 0 unless the user tolerates some.

    Args:
        subject: The artifact.
        threshold: Name of the user's threshold.
        gate: Name of the gate.
        count: Number of such operators.
        reason: Which they are.
    """
    limit = subject.thresholds.get(threshold, 0)
    return Gate.measured(gate, count, "<=", limit, reason).model_copy(update={"default_bar": 0 if limit else None})
