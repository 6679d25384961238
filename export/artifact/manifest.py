"""The manifest: what a bundle holds, and what was proven of it."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from ...core.errors import InputError, describe
from .metadata import ImagesRecord, Metadata, Record


class Gate(Record):
    """One check of one artifact."""

    name: str
    status: Literal["passed", "failed", "skipped"]
    figure: float | None = None
    """What was measured."""
    operator: Literal[">=", "<="]
    """How the figure must stand to the bar."""
    bar: float
    default_bar: float | None = None
    """The bar that the format has, where the user set another one."""
    reason: str | None = None
    """Why it was skipped, or what it was that failed."""

    @classmethod
    def measured(
        cls, name: str, figure: float, operator: Literal[">=", "<="], bar: float, reason: str | None = None
    ) -> "Gate":
        """A gate whose figure is known: passed or failed; `reason` says what it was that failed."""
        status = "passed" if (figure >= bar if operator == ">=" else figure <= bar) else "failed"
        return cls(name=name, status=status, figure=figure, operator=operator, bar=bar, reason=reason)

    @property
    def requirement(self) -> str:
        """Such as `>= 0.98`, or `>= 0.95 (set; 0.98 by default)`."""
        default = "" if self.default_bar is None else f" (set; {self.default_bar:g} by default)"
        bar = f"{self.bar:.0f}" if self.bar.is_integer() else f"{self.bar:g}"
        return f"{self.operator} {bar}{default}"

    @property
    def sentence(self) -> str:
        """Such as `agreement is 0.95, must be >= 0.98`."""
        sentence = f"{self.name} is {self.figure:.6g}, must be {self.requirement}"
        return f"{sentence} ({self.reason})" if self.reason else sentence


class Tensor(Record):
    """An input or output as the runtime reports it."""

    name: str
    shape: tuple[int | None, ...]
    """None where a size is open."""
    dtype: str
    scale: float | None
    zero_point: int | None
    layout: Literal["NHWC", "NCHW"] = "NHWC"


class Check(Record):
    """What a runtime, a compiler or a list of operators said of an artifact."""

    name: str
    """Such as `LiteRT`."""
    version: str | None = None
    skipped: str | None = None
    """Why it did not take place; then nothing is known by it."""
    gates: tuple[Gate, ...] = ()
    accuracy: float | None = None
    """On the evaluation images, 0..1; what is measured of other tasks is among the facts."""
    agreement: float | None = None
    """Share of the real images with the same most probable class as Keras."""
    psnr_db: float | None = None
    """Peak signal-to-noise ratio of the answers against Keras, in decibels; None where they are equal."""
    flip_rate: float | None = None
    """Share of the real images of which Keras is right and the artifact wrong, or the other way round."""
    median_ms: float | None = None
    """Of one image on one thread of this host."""
    facts: dict[str, float | int | str] = Field(default_factory=dict)
    """What else it measured."""
    files: tuple[str, ...] = ()
    """What it wrote into the bundle."""

    @property
    def status(self) -> Literal["passed", "failed", "skipped"]:
        """The worst of its gates."""
        if any(gate.status == "failed" for gate in self.gates):
            return "failed"
        return "skipped" if self.skipped else "passed"


class ArtifactRecord(Record):
    """One file of the bundle."""

    file: str
    format: str
    targets: tuple[str, ...]
    sha256: str
    bytes: int
    gzip_bytes: int
    input: Tensor
    output: Tensor
    noise_db: dict[str, float] = Field(default_factory=dict)
    """Of int8: the layers that suffer most from it, signal-to-noise ratio in decibels, the worst first."""
    operators: dict[str, int]
    """How often each operator is there, by its name and version, such as `CONV_2D v3` or `Conv 17`."""
    gates: tuple[Gate, ...]
    """Of the file itself."""
    checks: tuple[Check, ...]
    """Of what it was put to, its own runtime first."""

    @property
    def located_gates(self) -> tuple[tuple[str, Gate], ...]:
        """Of the file itself, under no name, and of all checks, under theirs."""
        of_checks = ((check.name, gate) for check in self.checks for gate in check.gates)
        return (*(("", gate) for gate in self.gates), *of_checks)

    @property
    def passed(self) -> bool:
        """Whether no gate failed."""
        return all(gate.status != "failed" for _, gate in self.located_gates)


class Manifest(Record):
    """Everything that is known of a bundle."""

    schema_version: Literal[2] = 2
    model: Metadata
    parameters: int
    sparsity: float
    """Share of exact zeros in the kernels, 0..1."""
    targets: tuple[str, ...]
    artifacts: tuple[ArtifactRecord, ...]
    skipped: dict[str, str]
    """Formats of the targets that were not made, and why."""
    calibration: ImagesRecord | None
    evaluation: ImagesRecord | None
    proven_on: Literal["evaluation images", "calibration images", "noise"]
    """Which images the artifacts were held against Keras on."""
    tools: dict[str, str]
    """Versions."""
    host: str
    created: str
    """UTC, ISO 8601."""

    @property
    def passed(self) -> bool:
        """Whether no gate of any artifact failed."""
        return all(artifact.passed for artifact in self.artifacts)

    @classmethod
    def load(cls, path: str | Path) -> "Manifest":
        """Reads a `manifest.json`.

        Raises:
            InputError: It cannot be read, or is something else.
        """
        try:
            return cls.model_validate_json(Path(path).read_bytes())
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}.") from error
        except ValidationError as error:
            raise InputError(f"{path} is no manifest of a bundle: {describe(error)}.") from error

    def failures(self) -> list[str]:
        """One line for each gate that failed."""
        return [
            f"{artifact.file}{f' in {where}' if where else ''}: {gate.sentence}"
            for artifact in self.artifacts
            for where, gate in artifact.located_gates
            if gate.status == "failed"
        ]
