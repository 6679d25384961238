"""The manifest: the content of a bundle and its validation results."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, ValidationError, model_serializer

from ...core.errors import InputError, describe
from ...core.input_files import read_file
from ...core.limits import TEXT_BYTES
from .metadata import ImagesRecord, Metadata, Record


class Gate(Record):
    """A measured figure of an artifact and the threshold that it must meet."""

    name: str
    status: Literal["passed", "failed", "skipped"]
    figure: float | None = None
    """The measured value."""
    operator: Literal[">=", "<="]
    """Required relation of the figure to the threshold."""
    bar: float
    """The threshold."""
    default_bar: float | None = None
    """The format's own threshold, where the user set another one."""
    reason: str | None = None
    """Why the gate was skipped, or details of the failure."""

    @classmethod
    def measured(
        cls, name: str, figure: float, operator: Literal[">=", "<="], bar: float, reason: str | None = None
    ) -> "Gate":
        """Compare a measured figure with its threshold: passed or failed, the latter with details in `reason`."""
        status = "passed" if (figure >= bar if operator == ">=" else figure <= bar) else "failed"
        return cls(name=name, status=status, figure=figure, operator=operator, bar=bar, reason=reason)

    @property
    def requirement(self) -> str:
        """The relation and threshold, such as `>= 0.98` or `>= 0.95 (set; 0.98 by default)`."""
        default = "" if self.default_bar is None else f" (set; {self.default_bar:g} by default)"
        bar = f"{self.bar:.0f}" if self.bar.is_integer() else f"{self.bar:g}"
        return f"{self.operator} {bar}{default}"

    @property
    def sentence(self) -> str:
        """The result in words, such as `agreement is 0.95, must be >= 0.98`."""
        sentence = f"{self.name} is {self.figure:.6g}, must be {self.requirement}"
        return f"{sentence} ({self.reason})" if self.reason else sentence


class Tensor(Record):
    """An input or output as the runtime reports it."""

    name: str
    shape: tuple[int | None, ...]
    """None for an open size."""
    dtype: str
    scale: float | None
    zero_point: int | None
    layout: Literal["NHWC", "NCHW"] = "NHWC"


class Check(Record):
    """Result of validating an artifact with one runtime, compiler or operator list."""

    name: str
    """Such as `LiteRT`."""
    version: str | None = None
    skipped: str | None = None
    """Why the check did not run; such a check proves nothing."""
    gates: tuple[Gate, ...] = ()
    accuracy: float | None = None
    """Of a classification on the evaluation images, 0..1; the metrics of other tasks are in `facts`."""
    agreement: float | None = None
    """Share of the real images (or pixels, labels) with the same predicted class as Keras."""
    psnr_db: float | None = None
    """Peak signal-to-noise ratio of the outputs against Keras, in decibels; None where they are equal."""
    flip_rate: float | None = None
    """Share of the labelled images that only one of Keras and the artifact classifies correctly."""
    median_ms: float | None = None
    """Latency of one image on one thread of this host, in milliseconds."""
    facts: dict[str, float | int | str] = Field(default_factory=dict)
    """Other measurements."""
    files: tuple[str, ...] = ()
    """Names of the files that the check wrote into the bundle."""

    @property
    def status(self) -> Literal["passed", "failed", "skipped"]:
        """The worst status of its gates."""
        if any(gate.status == "failed" for gate in self.gates):
            return "failed"
        return "skipped" if self.skipped else "passed"


class Validation(Record):
    """Validation results of an artifact: the fields that its manifest record and its certificate share."""

    targets: tuple[str, ...]
    input: Tensor | dict[str, Tensor]
    """The only input, or all by name."""
    output: Tensor | dict[str, Tensor]
    """The only output, or all by name."""
    operators: dict[str, int]
    """Count of each operator, by name and version, such as `CONV_2D v3` or `Conv 17`."""
    gates: tuple[Gate, ...]
    """Gates on the file itself."""
    checks: tuple[Check, ...]
    """Results of all checks, the artifact's own runtime first."""

    @property
    def located_gates(self) -> tuple[tuple[str, Gate], ...]:
        """All gates with the name of their check, which is empty for gates on the file itself."""
        of_checks = ((check.name, gate) for check in self.checks for gate in check.gates)
        return (*(("", gate) for gate in self.gates), *of_checks)

    @property
    def passed(self) -> bool:
        """Whether no gate failed."""
        return all(gate.status != "failed" for _, gate in self.located_gates)


class ArtifactRecord(Validation):
    """One file of the bundle, or a directory that is an artifact, and its validation results."""

    file: str
    format: str
    sha256: str
    """Of the file; of a directory without its certificate, the hash of what `sha256sum` prints for its files."""
    bytes: int
    gzip_bytes: int
    noise_db: dict[str, float] = Field(default_factory=dict)
    """The layers most affected by int8: signal-to-noise ratio in decibels, the lowest first."""

    @model_serializer(mode="wrap")
    def _with_file_first(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _reordered(serialize(self), "file", "format")


class ValidationContext(Record):
    """The conditions under which all artifacts of a bundle were validated."""

    skipped: dict[str, str]
    """Formats of the targets that were not exported, and why."""
    evaluation: ImagesRecord | None
    proven_on: Literal["evaluation images", "calibration images", "noise"]
    """The images on which artifacts were compared with Keras."""
    host: str
    created: str
    """UTC, ISO 8601."""


class Manifest(ValidationContext):
    """Everything that is known about a bundle."""

    schema_version: Literal[2] = 2
    model: Metadata
    parameters: int
    sparsity: float
    """Share of exact zeros in the kernels, 0..1."""
    targets: tuple[str, ...]
    artifacts: tuple[ArtifactRecord, ...]
    calibration: ImagesRecord | None
    tools: dict[str, str]
    """Versions."""

    @model_serializer(mode="wrap")
    def _with_model_first(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _reordered(serialize(self), "schema_version", "model", "parameters", "sparsity", "targets", "artifacts")

    @property
    def passed(self) -> bool:
        """Whether no gate of any artifact failed."""
        return all(artifact.passed for artifact in self.artifacts)

    @classmethod
    def load(cls, path: str | Path) -> "Manifest":
        """Read a `manifest.json`.

        Raises:
            InputError: The file cannot be read or is not a manifest.
        """
        try:
            return cls.model_validate_json(read_file(path, TEXT_BYTES))
        except ValidationError as error:
            raise InputError(f"{path} is not a bundle's manifest: {describe(error)}.") from error

    def failures(self) -> list[str]:
        """One line for each failed gate."""
        return [
            f"{artifact.file}{f' in {where}' if where else ''}: {gate.sentence}"
            for artifact in self.artifacts
            for where, gate in artifact.located_gates
            if gate.status == "failed"
        ]


def _reordered(fields: dict[str, Any], *first: str) -> dict[str, Any]:
    """Move fields to the front, where people look for them; inherited fields come first otherwise."""
    return {name: fields[name] for name in (*first, *fields) if name in fields}
