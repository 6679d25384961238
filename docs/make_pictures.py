"""Writes the pictures in docs/pictures/: one export in figures, and the flow of data through the packages.

python docs/make_pictures.py                    # draws them
python docs/make_pictures.py --measure          # first exports a ResNet-20 and keeps its figures: 2 minutes on 2 cores
"""

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory

PICTURES = Path(__file__).with_name("pictures")
FIGURES = PICTURES / "resnet20.json"
COMMAND = "pocketzoo export resnet20.keras --data digits --targets mobile,edge,gpu,server"

INK, GRAY, LINE, BAR, PAPER = "#1f2933", "#66727f", "#d9e0e6", "#26a69a", "#ffffff"
SANS = "'Segoe UI', 'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif"
MONO = "'SF Mono', Consolas, 'DejaVu Sans Mono', monospace"

ROWS = (
    ("Phone, CPU", "-fp32.tflite", "LiteRT", "LiteRT, MediaPipe"),
    ("Phone, GPU", "-fp16.tflite", "LiteRT", "LiteRT on the GPU, MediaPipe"),
    ("Phone, integers", "-uint8.tflite", "LiteRT", "LiteRT, MediaPipe"),
    ("Microcontroller", "-int8.tflite", "TensorFlow Lite Micro", "TensorFlow Lite Micro; g++"),
    ("Arm Ethos-U55 NPU", "-int8.tflite", "Vela for Ethos-U55", "LiteRT, then compiled by Vela"),
    ("Graphics card", "-fp16.onnx", "ONNX Runtime", "ONNX Runtime (here on a CPU)"),
    ("x86 server, integers", "-int8.onnx", "ONNX Runtime", "ONNX Runtime"),
    ("Intel processor", "-fp32.onnx", "OpenVINO", "ONNX Runtime, OpenVINO"),
)
"""What a row is for, its file, the check that its figure is of, and what the file is validated on."""


def main() -> None:
    """Draws the pictures, with new figures where they are wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true")
    if parser.parse_args().measure:
        FIGURES.write_text(json.dumps(measure(), indent=1) + "\n", encoding="utf-8")
    for name, picture in pictures().items():
        (PICTURES / name).write_text(picture, encoding="utf-8")


def pictures() -> dict[str, str]:
    """Every picture as SVG, by file name."""
    return {"export.svg": draw_export(json.loads(FIGURES.read_text(encoding="utf-8"))), "data_flow.svg": draw_flow()}


def measure() -> dict[str, object]:
    """Exports the ResNet-20 with the weights that ship, as `COMMAND` does, and returns the figures that are shown."""
    from pocketzoo import export, training, zoo

    model = zoo.create_model("resnet20", weights="digits")
    data = training.load_data("digits", image_size=32, channels=3)
    with TemporaryDirectory() as folder:
        manifest = export.export_model(
            model,
            Path(folder, "bundle"),
            targets=["mobile", "edge", "gpu", "server"],
            calibration=data.train,
            evaluation=data.test,
        )
    processor = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    return {
        "keras_accuracy": manifest.evaluation.keras_accuracy,
        "images": manifest.evaluation.count,
        "processor": processor[1].replace("(R)", "") if processor else "unknown",
        "created": manifest.created[:10],
        "artifacts": {
            artifact.file: {
                "bytes": artifact.bytes,
                "accuracy": artifact.checks[0].accuracy,
                "checks": {check.name: {"ms": check.median_ms} | check.facts for check in artifact.checks},
            }
            for artifact in manifest.artifacts
        },
    }


def draw_export(figures: dict) -> str:
    """One row for each place where the model runs, with the file's size, accuracy and speed."""
    width, top, step = 1080, 142, 38
    height = top + step * len(ROWS) + 66
    largest = max(artifact["bytes"] for artifact in figures["artifacts"].values())
    parts = [
        text(28, 42, "One model for eight kinds of devices, each file validated on its runtime", 21, weight=600),
        text(28, 72, f"$ {COMMAND}", 13.5, fill=GRAY, family=MONO),
        *(text(x, 116, title, 12.5, fill=GRAY, weight=600) for x, title in HEADINGS),
        line(28, 126, width - 28, 126),
    ]
    for row, (place, suffix, check, runtimes) in enumerate(ROWS):
        file, artifact = next(item for item in figures["artifacts"].items() if item[0].endswith(suffix))
        y = top + step * row + 12
        size = artifact["bytes"]
        parts += [
            text(28, y, place, 14.5, weight=600),
            text(232, y, file, 13, family=MONO),
            f'<rect x="432" y="{y - 13}" width="{170 * size / largest:.1f}" height="17" rx="3" fill="{BAR}"/>',
            text(432 + 170 * size / largest + 8, y, f"{size / 1e6:.2f} MB", 13, fill=INK),
            text(682, y, f"{artifact['accuracy']:.2%}", 14.5),
            text(758, y, _speed(artifact["checks"][check]), 13),
            text(856, y, runtimes, 12),
        ]
        parts.append(line(28, y + 13, width - 28, y + 13))
    caption = (
        f"ResNet-20 on {figures['images']} test images of handwritten digits; Keras: {figures['keras_accuracy']:.2%}. "
        f"ms: one image, one thread of a shared {figures['processor']}; RAM: arena; NPU ms: Vela's estimate."
    )
    parts.append(text(28, height - 26, caption, 12.5, fill=GRAY))
    return svg(width, height, parts)


HEADINGS = (
    (28, "runs on"),
    (232, "file"),
    (432, "size"),
    (682, "accuracy"),
    (758, "cost"),
    (856, "validated on"),
)


def _speed(check: dict) -> str:
    """The time of one image, or the memory that it takes where that is scarcer."""
    if "arena_bytes" in check:
        return f"{check['arena_bytes'] / 1e3:.0f} kB RAM"
    if "inferences_per_second" in check:
        return f"{1000 / check['inferences_per_second']:.1f} ms NPU"
    return f"{check['ms']:.1f} ms"


FLOW = (
    ("name", "zoo", ("card (TOML)", "builder of layer blocks", "pretrained weights")),
    ("keras.Model", "training", ("data, recipe", "fit, fine-tune", "prune, quantize, distill")),
    ("keras.Model", "export: conversion", ("flat inference graph", "TFLite, ONNX converters", "rewrites for NPUs")),
    ("files", "export: validation", ("run on each runtime", "compare with Keras", "gates and thresholds")),
    ("checks", "export: artifact", ("manifest.json, report.md", "certificate in each file", "C++ source, web page")),
)
"""What enters a stage, the package, and what it does."""


def draw_flow() -> str:
    """The stages from a name to a bundle, and the layers of packages below them."""
    box, gap, top = 176, 44, 92
    width = 56 + len(FLOW) * box + (len(FLOW) - 1) * gap + 68
    parts = [text(28, 40, "From a name to a validated bundle", 20, weight=600)]
    for index, (enters, title, lines) in enumerate(FLOW):
        x = 28 + 34 + index * (box + gap)
        parts += [
            f'<rect x="{x}" y="{top}" width="{box}" height="128" rx="8" fill="#e0f2f1" stroke="{BAR}"/>',
            text(x + box / 2, top + 28, title, 15, weight=600, anchor="middle"),
            *(text(x + box / 2, top + 58 + 23 * row, words, 13, anchor="middle") for row, words in enumerate(lines)),
            *arrow(x - gap + 4 if index else x - 34, x - 4, top + 64),
            text((x - gap / 2) if index else x - 19, top - 12, enters, 12, fill=GRAY, anchor="middle"),
        ]
    end = 28 + 34 + len(FLOW) * (box + gap) - gap
    parts += [*arrow(end + 4, end + 36, top + 64), text(end + 20, top - 12, "bundle", 12, fill=GRAY, anchor="middle")]
    y = top + 176
    parts.append(text(28, y, "Imports go one way:", 15, weight=600))
    x = 190
    for index, package in enumerate(("core", "layers", "tasks", "zoo", "training | export", "cli")):
        room = 30 + 9 * len(package)
        parts += [
            f'<rect x="{x}" y="{y - 21}" width="{room}" height="32" rx="6" fill="{PAPER}" stroke="{GRAY}"/>',
            text(x + room / 2, y, package, 13.5, family=MONO, anchor="middle"),
        ]
        if index < 5:
            parts += arrow(x + room + 32, x + room + 6, y - 5)
        x += room + 38
    note = "An arrow points to what is imported. training and export never import each other."
    parts.append(text(28, y + 38, note, 12.5, fill=GRAY))
    return svg(width, y + 62, parts)


def text(x: float, y: float, words: str, size: float, **style: object) -> str:
    """A line of text."""
    fill, weight = style.get("fill", INK), style.get("weight", 400)
    family, anchor = style.get("family", SANS), style.get("anchor", "start")
    return (
        f'<text x="{x:g}" y="{y:g}" font-family="{family}" font-size="{size}" font-weight="{weight}" fill="{fill}" '
        f'text-anchor="{anchor}">{escape(words)}</text>'
    )


def line(x1: float, y1: float, x2: float, y2: float, stroke: str = LINE) -> str:
    """A thin line."""
    return f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="{stroke}"/>'


def arrow(start: float, end: float, y: float) -> Iterator[str]:
    """A horizontal arrow."""
    back = -7 if end > start else 7
    yield f'<line x1="{start:g}" y1="{y:g}" x2="{end:g}" y2="{y:g}" stroke="{GRAY}" stroke-width="1.6"/>'
    points = f"{end:g},{y:g} {end + back:g},{y - 4.5:g} {end + back:g},{y + 4.5:g}"
    yield f'<polygon points="{points}" fill="{GRAY}"/>'


def svg(width: float, height: float, parts: Sequence[str]) -> str:
    """A picture on white paper, which is readable on dark pages too."""
    paper = (
        f'<rect x="0.5" y="0.5" width="{width - 1:g}" height="{height - 1:g}" rx="12" fill="{PAPER}" stroke="{LINE}"/>'
    )
    size = f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}"'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', paper, *parts, "</svg>\n"])


if __name__ == "__main__":
    main()
