"""What an artifact's own file says: how it was made, how to feed it, and what was proven of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import InputError
from . import console

if TYPE_CHECKING:
    from ..export import Artifact
    from ..export.artifact.certificate import Certificate
    from ..export.artifact.metadata import ImagesRecord, Metadata

SUFFIXES = (".tflite", ".onnx")
LABELS_SHOWN = 5


def show_artifact(path: Path, *, as_json: bool) -> None:
    """Shows what a file of ours says of itself.

    Raises:
        InputError: It cannot be opened, or another tool made it.
    """
    from ..export.loading import load_artifact

    artifact = load_artifact(path)
    metadata, certificate = artifact.metadata, artifact.certificate
    if metadata is None:
        raise InputError(f"{path} says nothing of itself: another tool made it.")
    unchanged = certificate and certificate.holds(path)
    if as_json:
        console.show_json(_facts(metadata, certificate) | {"unchanged_since_proof": unchanged})
        return
    console.show_table((path.name, ""), [*_making_rows(artifact, metadata), *_proof_rows(certificate, unchanged)])
    if certificate:
        console.show_table(("where", "gate", "figure", "bar", "status"), _gate_rows(certificate))


def _facts(metadata: "Metadata", certificate: "Certificate | None") -> dict[str, Any]:
    return {
        "metadata": metadata.model_dump(mode="json"),
        "proof": certificate and certificate.model_dump(mode="json"),
    }


def _making_rows(artifact: "Artifact", metadata: "Metadata") -> list[tuple[str, object]]:
    making = metadata.making
    rows = [
        ("model", metadata.model),
        ("task", metadata.task),
        ("labels", _few(metadata.labels)),
        ("input", _tensor(artifact.input)),
        ("output", _tensor(artifact.output)),
        ("normalisation", "inside" if metadata.mean else "not known"),
        ("Keras weights", metadata.weights_sha256),
    ]
    if making:
        rows += [
            ("format", making.format),
            ("zeros in the kernels", f"{making.sparsity:.1%}"),
            ("calibrated with", _images(making.calibration)),
            ("left in floats", _few(making.float_layers)),
            ("made by", ", ".join(f"{name} {version}" for name, version in making.tools.items())),
        ]
    return rows


def _proof_rows(certificate: "Certificate | None", unchanged: bool | None) -> list[tuple[str, object]]:
    if certificate is None:
        return [("proof", "the file has none")]
    told = certificate.circumstances
    return [
        ("targets", ", ".join(certificate.targets)),
        ("proven on", _images(told.evaluation) if told.evaluation else told.proven_on),
        ("by", f"{told.host}, {told.created}"),
        ("changed since then", "no" if unchanged else "yes: the file's model is not the one that was proven"),
    ]


def _gate_rows(certificate: "Certificate") -> list[tuple[str, ...]]:
    own = [("file", gate) for gate in certificate.gates]
    named = own + [(check.name, gate) for check in certificate.checks for gate in check.gates]
    rows = [
        (
            where,
            gate.name,
            "-" if gate.figure is None else f"{gate.figure:.6g}",
            gate.requirement,
            f"{gate.status}: {gate.reason}" if gate.reason else gate.status,
        )
        for where, gate in named
    ]
    return rows + [
        (check.name, "-", "-", "-", f"skipped: {check.skipped}") for check in certificate.checks if check.skipped
    ]


def _tensor(tensor: Any) -> str:
    shape = "x".join("any" if side is None else str(side) for side in tensor.shape)
    grid = "" if tensor.scale is None else f", scale {tensor.scale:.6g}, zero point {tensor.zero_point}"
    layout = f"{tensor.layout} " if len(tensor.shape) == len(tensor.layout) else ""
    return f"{tensor.name}: {shape} {layout}{tensor.dtype}{grid}"


def _images(images: "ImagesRecord | None") -> str:
    return "none" if images is None else f"{images.count} images ({images.source})"


def _few(names: tuple[str, ...]) -> str:
    more = len(names) - LABELS_SHOWN
    return ", ".join(names[:LABELS_SHOWN]) + (f" and {more} more" if more > 0 else "") or "none"
