"""The report of a bundle: its manifest as Markdown."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ...core.visible_text import visible
from .manifest import ArtifactRecord, Check, Manifest

HEADER = ("artifact", "bytes", "gzipped", "accuracy", "agreement", "ms", "validation")
CHECKS_HEADER = (
    "artifact", "check", "accuracy", "agreement", "PSNR dB", "flips", "ms", "other measurements", "status"
)  # fmt: skip

DEVICE_HEADER = ("artifact", "check", "RAM", "flash", "cycles", "estimated ms", "file")
RAM_FACTS = ("arena_bytes", "sram_bytes")

MARKUP = re.compile(r"[|`\\]|<(?=[A-Za-z/!?])|\](?=[(\[])")
"""What begins a cell, code, an escape, a tag, or the address of a link."""


def table_rows(manifest: Manifest) -> list[tuple[str, ...]]:
    """One row per artifact, under `HEADER`."""
    return [
        (
            record.file,
            f"{record.bytes:,}",
            f"{record.gzip_bytes:,}",
            percent(record.checks[0].accuracy),
            percent(record.checks[0].agreement),
            _milliseconds(record.checks[0]),
            _verdict(record),
        )
        for record in manifest.artifacts
    ]


def write_report(manifest: Manifest, path: Path) -> None:
    """Write the manifest as Markdown."""
    accuracy = manifest.evaluation.keras_accuracy if manifest.evaluation else None
    lines = [
        f"# {escape(manifest.model.model)} for {', '.join(manifest.targets)}",
        "",
        f"{manifest.parameters:,} parameters; {manifest.sparsity:.1%} of the kernel weights are zero.",
        f"Exported on {manifest.created} ({manifest.host}).",
        *_images_lines(manifest),
        f"Accuracy of the Keras model: {percent(accuracy)}. ms: median latency of one image on one thread.",
        "",
        *markdown_table(HEADER, table_rows(manifest)),
        "",
        *(f"No {name}: {escape(reason)}.\n" for name, reason in manifest.skipped.items()),
        *_device_lines(manifest),
        *_noise_lines(manifest),
        "## Checks",
        "",
        *markdown_table(CHECKS_HEADER, check_rows(manifest)),
        "",
        "## Gates",
        "",
        *markdown_table(("artifact", "check", "gate", "figure", "threshold", "status"), list(_gate_rows(manifest))),
        "",
    ]
    path.write_text("\n".join(lines), encoding="utf-8")


def _images_lines(manifest: Manifest) -> list[str]:
    """The images of validation and calibration."""
    evaluation, calibration = manifest.evaluation, manifest.calibration
    lines = [f"Validated on {manifest.proven_on}."]
    if evaluation:
        lines = [f"Validated on {evaluation.count} {manifest.proven_on} ({escape(evaluation.source)})."]
    if calibration:
        subsampled = "" if calibration.seed is None else f", subsampled with seed {calibration.seed}"
        lines.append(f"Calibrated with {calibration.count} images ({escape(calibration.source)}{subsampled}).")
    return lines


def skipped_reasons(manifest: Manifest) -> list[str]:
    """What was not measured and why, each reason once, such as `agreement: 40 images are too few ...`."""
    checks = [check for record in manifest.artifacts for check in record.checks if check.skipped]
    gates = [gate for record in manifest.artifacts for _, gate in record.located_gates if gate.status == "skipped"]
    reasons = [(gate.name, gate.reason) for gate in gates] + [(check.name, check.skipped) for check in checks]
    return [f"{name}: {reason}" for name, reason in dict.fromkeys([*manifest.skipped.items(), *reasons])]


def _device_lines(manifest: Manifest) -> list[str]:
    """Costs on edge devices."""
    rows = device_rows(manifest)
    return ["## On the device", "", *markdown_table(DEVICE_HEADER, rows), ""] if rows else []


def _noise_lines(manifest: Manifest) -> list[str]:
    """The layers most affected by quantization."""
    rows = [
        (record.file, layer, f"{decibels:.1f}")
        for record in manifest.artifacts
        for layer, decibels in record.noise_db.items()
    ]
    if not rows:
        return []
    about = (
        "Signal-to-noise ratio of each layer's quantized output, including the noise of earlier layers; at 20 dB the "
        "noise is a tenth of the signal."
    )
    table = markdown_table(("artifact", "layer", "dB"), rows)
    return ["## Layers most affected by quantization", "", about, "", *table, ""]


def check_rows(manifest: Manifest) -> list[tuple[str, ...]]:
    """One row per check of an artifact, under `CHECKS_HEADER`."""
    return [
        (
            record.file,
            f"{check.name} {check.version or ''}".strip(),
            percent(check.accuracy),
            percent(check.agreement),
            "-" if check.psnr_db is None else f"{check.psnr_db:.1f}",
            percent(check.flip_rate),
            _milliseconds(check),
            ", ".join(f"{name} {value}" for name, value in check.facts.items()) or "-",
            _status(check.status, check.skipped),
        )
        for record in manifest.artifacts
        for check in record.checks
    ]


def device_rows(manifest: Manifest) -> list[tuple[str, ...]]:
    """One row per check that knows the costs on an edge device, under `DEVICE_HEADER`; sizes in bytes."""
    return [
        (
            record.file,
            check.name,
            _count(check, *RAM_FACTS),
            _count(check, "flash_bytes"),
            _count(check, "cycles"),
            f"{check.facts['latency_ms']:.3f}" if "latency_ms" in check.facts else "-",
            check.files[0] if check.files else "-",
        )
        for record in manifest.artifacts
        for check in record.checks
        if check.facts.keys() & {*RAM_FACTS, "flash_bytes"}
    ]


def _count(check: Check, *facts: str) -> str:
    """The first of `facts` that the check has."""
    return next((f"{check.facts[fact]:,}" for fact in facts if fact in check.facts), "-")


def _gate_rows(manifest: Manifest) -> Iterator[tuple[str, ...]]:
    for record in manifest.artifacts:
        for where, gate in record.located_gates:
            status = _status(gate.status, gate.reason)
            yield record.file, where or "file", gate.name, _figure(gate.figure), gate.requirement, status


def _milliseconds(check: Check) -> str:
    return "-" if check.median_ms is None else f"{check.median_ms:.3f}"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table whose cells are plain text."""
    lines = (header, ["---"] * len(header), *([escape(cell) for cell in row] for row in rows))
    return [f"| {' | '.join(cells)} |" for cells in lines]


def escape(text: str) -> str:
    """Return text that fits in a cell or a sentence: a single line in which nothing is Markdown or HTML."""
    return MARKUP.sub(r"\\\g<0>", " ".join(visible(text).split()))


def percent(share: float | None) -> str:
    """Return a share in percent; a dash for None."""
    return "-" if share is None else f"{share:.2%}"


def _figure(figure: float | None) -> str:
    if figure is None:
        return "-"
    return f"{figure:.0f}" if figure.is_integer() else f"{figure:.6g}"


def _verdict(record: ArtifactRecord) -> str:
    states = [gate.status for _, gate in record.located_gates] + [
        check.status for check in record.checks if check.skipped
    ]
    if "failed" in states:
        return "failed"
    skipped = f", {states.count('skipped')} skipped" if "skipped" in states else ""
    changed = any(gate.default_bar is not None for _, gate in record.located_gates)
    return f"passed{' with user-set thresholds' if changed else ''}{skipped}"


def _status(status: str, reason: str | None) -> str:
    return f"{status}: {reason}" if reason else status
