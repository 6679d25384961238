"""A bundle's manifest as a page to read."""

from pathlib import Path

from .manifest import Manifest

HEADER = ("artifact", "bytes", "gzipped", "accuracy", "agreement", "ms", "proof")


def table_rows(manifest: Manifest) -> list[tuple[str, ...]]:
    """One row an artifact, under `HEADER`."""
    return [
        (
            record.file,
            f"{record.bytes:,}",
            f"{record.gzip_bytes:,}",
            _percent(record.accuracy),
            _percent(record.agreement),
            f"{record.median_ms:.3f}",
            _verdict(record.gates),
        )
        for record in manifest.artifacts
    ]


def write_report(manifest: Manifest, path: Path) -> None:
    """Writes the manifest as Markdown."""
    accuracy = manifest.evaluation.keras_accuracy if manifest.evaluation else None
    lines = [
        f"# {manifest.model.model} for {', '.join(manifest.targets)}",
        "",
        f"{manifest.parameters:,} parameters, {manifest.sparsity:.1%} of the kernels' weights are zero.",
        f"Made on {manifest.created} ({manifest.host}). Proven on: {manifest.proven_on}.",
        f"Accuracy of the Keras model: {_percent(accuracy)}. ms: one image, one thread, median.",
        "",
        *_markdown_table(HEADER, table_rows(manifest)),
        "",
        "## Gates",
        "",
        *_markdown_table(
            ("artifact", "gate", "figure", "bar", "status"),
            [
                (
                    a.file,
                    g.name,
                    "-" if g.figure is None else f"{g.figure:.6g}",
                    g.requirement,
                    _status(g.status, g.reason),
                )
                for a in manifest.artifacts
                for g in a.gates
            ],
        ),
        "",
    ]
    path.write_text("\n".join(lines), encoding="utf-8")


def _markdown_table(header, rows) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.2%}"


def _figure(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.6g}"


def _verdict(gates) -> str:
    states = [gate.status for gate in gates]
    if "failed" in states:
        return "failed"
    return f"passed, {states.count('skipped')} skipped" if "skipped" in states else "passed"


def _status(status: str, reason: str | None) -> str:
    return f"{status}: {reason}" if reason else status
