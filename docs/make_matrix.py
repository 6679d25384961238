"""Writes docs/matrix.md: every model of the zoo on every target, measured.

python docs/make_matrix.py                            # hours on 2 cores; `make matrix`
python docs/make_matrix.py --cards lenet5 resnet20    # these, and all earlier measurements

The measurements of each model are kept in docs/matrix/ and not repeated, so that the command can be interrupted. Remove
a file there to measure its model again.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
from untrained import Images, fit_last_layer, synthetic_images

from pocketzoo import export, zoo
from pocketzoo.core.atomic_files import atomic_path
from pocketzoo.export.artifact.manifest import ArtifactRecord
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.targets import GROUPS, TARGETS, checks_of

KEPT = Path(__file__).with_name("matrix")
PAGE = Path(__file__).with_name("matrix.md")
COLUMNS = tuple(name for name in TARGETS if name not in GROUPS["clients"])
"""Targets that are measured; clients.md has the others."""
FACTS = {
    "arena_bytes": lambda count: f"arena {count / 1e3:.4g} kB",
    "inferences_per_second": lambda rate: f"NPU {1000 / rate:.3g} ms",
    "sram_bytes": lambda count: f"SRAM {count / 1e3:.4g} kB",
}
"""Facts of checks that are shown, and their format."""
MAX_MULTIPLY_ADDS = 5e9
"""Multiply-adds of one image, above which models are measured at half the height and width, or a quarter: with 16-bit
activations, or in TensorFlow Lite Micro, whose kernels are optimized for size, one image would take from five seconds
to minutes."""

Cell = dict[str, Any]
"""`artifacts`, each with its figures, or the `reason` why there are none."""


def main() -> None:
    """Measure what is missing, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cheapest_first = sorted(zoo.list_models(), key=lambda name: zoo.model_card(name).multiply_adds)
    parser.add_argument("--cards", nargs="*", default=cheapest_first)
    # A process for each model, since TensorFlow does not free the memory of its conversions.
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        for _ in pool.map(measure_card, parser.parse_args().cards):
            pass
    with atomic_path(PAGE) as temporary:
        temporary.write_text(render_page({name: cells for name in zoo.list_models() if (cells := kept_cells(name))}))
    print(PAGE)


def measure_card(name: str) -> None:
    """Measure the cells of a card that have not been measured."""
    cells = kept_cells(name)
    missing = [target for target in COLUMNS if target not in cells]
    if not missing:
        return
    start = time.perf_counter()
    keras.utils.set_random_seed(0)
    model = zoo.create_model(name, input_shape=measured_shape(name))
    images = synthetic_images(model)
    fit_last_layer(model, *images["fitting"])
    for target, measured in measure_cells(model, missing, images):
        cells[target] = measured
        print(f"{name} on {target}: {format_cell(measured)}", flush=True)
    print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
    with atomic_path(card_file(name)) as temporary:
        temporary.write_text(json.dumps(cells, indent=1) + "\n", encoding="utf-8")


def measured_shape(name: str) -> tuple[int, int, int]:
    """The default input shape of the card, or a half, a quarter and so on of it, in multiples of 4."""
    card = zoo.model_card(name)
    height, width, channels = card.input_shape
    multiply_adds = card.multiply_adds
    while multiply_adds > MAX_MULTIPLY_ADDS:
        height, width = (max(card.smallest_input, side // 8 * 4) for side in (height, width))
        multiply_adds /= 4
    return height, width, channels


def card_file(name: str) -> Path:
    """The file with the measured cells of a card."""
    return KEPT / f"{name}.json"


def kept_cells(name: str) -> dict[str, Cell]:
    """The measured cells of a card by target."""
    file = card_file(name)
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def measure_cells(model: keras.Model, targets: Sequence[str], images: Images) -> Iterator[tuple[str, Cell]]:
    """Measure a model on each target. They share artifacts; if one cannot be exported, each target is tried alone."""
    try:
        manifest = exported(model, targets, images)
    except (zoo.InputError, export.ConversionError) as error:
        if len(targets) == 1:
            yield targets[0], {"reason": str(error).partition(" The converter's output")[0]}
            return
        for target in targets:
            yield from measure_cells(model, [target], images)
        return
    for target in targets:
        records = [record for record in manifest.artifacts if target in record.targets]
        skipped = {name: why for name, why in manifest.skipped.items() if name in TARGETS[target].checks}
        yield target, {"artifacts": [figures(record, target, targets) for record in records], "skipped": skipped}


def exported(model: keras.Model, targets: Sequence[str], images: Images) -> export.Manifest:
    """Export a model for `targets`; returns the manifest whether or not the artifacts pass."""
    given = {name: images[name] for name in ("calibration", "evaluation")}
    with TemporaryDirectory() as folder:
        out = Path(folder, "bundle")
        try:
            return export.export_model(model, out, targets=targets, **given)
        except export.ProofError:
            return export.Manifest.load(f"{out}.failed/manifest.json")


def figures(record: ArtifactRecord, target: str, targets: Sequence[str]) -> dict[str, Any]:
    """Figures of an artifact in the first runtime of `target`, with failed and skipped checks of all its runtimes.

    Args:
        record: The record of the artifact.
        target: One of `targets`.
        targets: The targets of the export, which determine its checks.
    """
    names = checks_of(FORMATS[record.format], targets)
    checks = dict(zip(names, record.checks, strict=True))
    own = [checks[name] for name in checks_of(FORMATS[record.format], [target])]
    gates = [("", gate) for gate in record.gates] + [(check.name, gate) for check in own for gate in check.gates]
    return {
        "format": record.format,
        "bytes": record.bytes,
        "agreement": own[0].agreement,
        "ms": own[0].median_ms,
        "failed": [
            f"{gate.sentence}{f' in {where}' if where else ''}" for where, gate in gates if gate.status == "failed"
        ],
        "not run": [check.name for check in own if check.skipped],
        "facts": {name: fact for check in own for name, fact in check.facts.items() if name in FACTS},
    }


def render_page(cells: dict[str, dict[str, Cell]]) -> str:
    """Render the page as Markdown."""
    header = ["model", *COLUMNS]
    rows = [[titled(name), *(format_cell(of.get(target)) for target in COLUMNS)] for name, of in cells.items()]
    absent = Counter(check for entry in entries(cells) for check in entry["not run"])
    counted = ", ".join(f"{check} ({count} artifacts)" for check, count in sorted(absent.items()))
    table = [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]
    not_run = f"Not run: {counted}.\n" if absent else ""
    not_run += f"Measured: {len(cells)} models of {len(zoo.list_models())}.\n"
    red = sum(bool(entry["failed"]) for entry in entries(cells))
    return f"{HEAD}\n{not_run}{red} artifacts of {len(list(entries(cells)))} fail.\n\n" + "\n".join(table) + "\n"


def titled(name: str) -> str:
    """The name, with the measured size if it is not the default."""
    height, width, _ = shape = measured_shape(name)
    return f"`{name}`" if shape == zoo.model_card(name).input_shape else f"`{name}` at {height}x{width}"


def entries(cells: dict[str, dict[str, Cell]]) -> Iterable[dict[str, Any]]:
    """All artifacts of all cells."""
    return (entry for of in cells.values() for cell in of.values() for entry in cell.get("artifacts", ()))


def format_cell(cell: Cell | None) -> str:
    """Format a cell, such as `int8 25.9 MB 99 % 9.7 ms`, a line per artifact, or the reason why there is none."""
    if cell is None:
        return "not measured"
    if "reason" in cell:
        return f"none: {cell['reason']}"
    lines = []
    for entry in cell["artifacts"]:
        agreement = "" if entry["agreement"] is None else f" {entry['agreement']:.1%}"
        milliseconds = "" if entry["ms"] is None else f" {entry['ms']:.3g} ms"
        failed = f" **failed: {'; '.join(entry['failed'])}**" if entry["failed"] else ""
        facts = "".join(f" {show(entry['facts'][name])}" for name, show in FACTS.items() if name in entry["facts"])
        name = entry["format"].partition("-")[2]
        lines.append(f"{name} {entry['bytes'] / 1e6:.3g} MB{agreement}{milliseconds}{facts}{failed}")
    lines += [f"no {name}: {reason}" for name, reason in cell["skipped"].items()]
    return "<br>".join(lines)


HEAD = f"""# Every model on every target

Generated by `make matrix`; do not edit. Each model has its default width, and its default input size unless another one
is stated (models with more than {MAX_MULTIPLY_ADDS / 1e9:.0f} billion multiply-adds have a half or a quarter of it).
For each artifact, the table shows its size, the share of 50 images, or of their pixels, on which it agrees with Keras,
and the median latency of one image in milliseconds on one thread of a shared x86 server, in the first runtime of its
target; and the arena that TensorFlow Lite Micro needs, and Vela's estimates for the NPU. All checks of a target must
pass, with the default thresholds; failures are in bold. C++ source is written for models up to 16 MB; other checks that
did not run lack their GPU or compiler on this machine.

No weights are downloaded: models have random weights and a last layer that is fitted to images of colored squares, so
that their outputs are accurate and errors of an artifact are detected; U-Nets whose last layer has too few inputs for
that are trained on them. Export a trained model to measure what quantization costs it.
"""


if __name__ == "__main__":
    main()
