"""What an artifact's file says about itself: how it was made, its input and output, and how it was validated."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import console
from .tensor_text import abbreviate, tensor_text

if TYPE_CHECKING:
    from ..export import Artifact
    from ..export.artifact.certificate import Certificate
    from ..export.artifact.metadata import ImagesRecord, Metadata


def show_artifact(path: Path, *, as_json: bool) -> None:
    """Print the metadata and the certificate of an artifact, or what the file of another tool shows.

    Raises:
        InputError: The file cannot be opened.
    """
    from ..export.loading import load_artifact
    from .foreign_file import show_foreign_file

    artifact = load_artifact(path)
    metadata, certificate = artifact.metadata, artifact.certificate
    if metadata is None:
        show_foreign_file(artifact, as_json=as_json)
        return
    unchanged = None if certificate is None else certificate.holds(path)
    if as_json:
        console.show_json(_facts(metadata, certificate) | {"unchanged_since_proof": unchanged})
        return
    rows = [*_metadata_rows(artifact, metadata), *_certificate_rows(certificate, unchanged)]
    console.show_table((path.name, ""), rows)
    if certificate:
        console.show_table(("check", "gate", "value", "threshold", "status"), _gate_rows(certificate))


def _facts(metadata: "Metadata", certificate: "Certificate | None") -> dict[str, Any]:
    return {
        "metadata": metadata.model_dump(mode="json"),
        "proof": certificate and certificate.model_dump(mode="json"),
    }


def _metadata_rows(artifact: "Artifact", metadata: "Metadata") -> list[tuple[str, object]]:
    making = metadata.making
    rows: list[tuple[str, object]] = [
        ("model", metadata.model),
        *_output_rows(metadata),
        *(("input", tensor_text(tensor)) for tensor in artifact.inputs.values()),
        *(("output", tensor_text(tensor)) for tensor in artifact.outputs.values()),
        ("normalization", "inside the model" if metadata.mean else "not known"),
        ("Keras weights", metadata.weights_sha256),
        *([("made from", metadata.origin)] if metadata.origin else []),
        *([("license of these weights", metadata.license)] if metadata.license else []),
    ]
    if making:
        rows += [
            ("format", making.format),
            ("zeros in the kernels", f"{making.sparsity:.1%}"),
            ("calibrated with", _images(making.calibration)),
            ("layers kept in float", abbreviate(making.float_layers)),
            ("converted by", ", ".join(f"{name} {version}" for name, version in making.tools.items())),
        ]
    return rows


def _output_rows(metadata: "Metadata") -> list[tuple[str, object]]:
    if metadata.outputs is None:
        return [("task", metadata.task), ("labels", abbreviate(metadata.labels))]
    rows: list[tuple[str, object]] = []
    for name, form in metadata.outputs.items():
        rows += [(f"task of {name}", form.task), (f"labels of {name}", abbreviate(form.labels))]
    return rows


def _certificate_rows(certificate: "Certificate | None", unchanged: bool | None) -> list[tuple[str, object]]:
    if certificate is None:
        return [("validation", "the file has no certificate")]
    context = certificate.circumstances
    return [
        ("targets", ", ".join(certificate.targets)),
        ("validated on", _images(context.evaluation) if context.evaluation else context.proven_on),
        ("validated by", f"{context.host}, {context.created}"),
        ("changed since then", "no" if unchanged else "yes: the model in the file is not the validated one"),
    ]


def _gate_rows(certificate: "Certificate") -> list[tuple[str, ...]]:
    own = [("file", gate) for gate in certificate.gates]
    named = own + [(check.name, gate) for check in certificate.checks for gate in check.gates]
    rows: list[tuple[str, ...]] = [
        (
            check,
            gate.name,
            "-" if gate.figure is None else f"{gate.figure:.6g}",
            gate.requirement,
            f"{gate.status}: {gate.reason}" if gate.reason else gate.status,
        )
        for check, gate in named
    ]
    return rows + [
        (check.name, "-", "-", "-", f"skipped: {check.skipped}") for check in certificate.checks if check.skipped
    ]


def _images(images: "ImagesRecord | None") -> str:
    return "none" if images is None else f"{images.count} images ({images.source})"
