"""Writes docs/matrix.md: every model of the zoo, and one of each task, on every target, measured.

python docs/make_matrix.py                                       # hours on 2 cores; `make matrix`
python docs/make_matrix.py --cards lenet5 --tasks embedding      # these, and all earlier measurements

The measurements of each model are kept in docs/matrix/ and not repeated, so that the command can be interrupted. Remove
a file there to measure its model again.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np
from task_examples import EXAMPLES, trained
from untrained import Images, fit_last_layer, synthetic_images

from pocketzoo import export, zoo
from pocketzoo.core.atomic_files import atomic_path
from pocketzoo.export.artifact.manifest import ArtifactRecord
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.targets import GROUPS, TARGETS, checks_of
from pocketzoo.tasks import get_task

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

FITTED_TASKS = ("classification", "segmentation")
"""Tasks whose models need no training, as their last layer is fitted; one model of each other task is trained."""
LOSSES = [get_task(name).loss_name for name in EXAMPLES if name not in FITTED_TASKS]
"""Names of the losses by the metrics of those tasks, which are shown."""
TEST_IMAGES = 100
"""Images that a trained model is validated on."""

Cell = dict[str, Any]
"""`artifacts`, each with its figures, or the `reason` why there are none."""


def main() -> None:
    """Measure what is missing, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cheapest_first = sorted(fitted_cards(), key=lambda name: zoo.model_card(name).multiply_adds)
    parser.add_argument("--cards", nargs="*", default=cheapest_first)
    parser.add_argument("--tasks", nargs="*", default=trained_tasks())
    options = parser.parse_args()
    # A process for each model, since TensorFlow does not free the memory of its conversions.
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        for measure, names in ((measure_card, options.cards), (measure_task, options.tasks)):
            for _ in pool.map(measure, names):
                pass
    rows = [{titled(name): cells for name in fitted_cards() if (cells := kept_cells(KEPT / f"{name}.json"))}]
    rows += [{titled_task(name): cells for name in trained_tasks() if (cells := kept_cells(task_file(name)))}]
    with atomic_path(PAGE) as temporary:
        temporary.write_text(render_page(*rows))
    print(PAGE)


def fitted_cards() -> list[str]:
    """Names of the models whose last layer is fitted."""
    return [name for name in zoo.list_models() if zoo.model_card(name).task in FITTED_TASKS]


def trained_tasks() -> list[str]:
    """Tasks of which a model is trained."""
    return [name for name in EXAMPLES if name not in FITTED_TASKS]


def measure_card(name: str) -> None:
    """Measure the cells of a card that have not been measured."""
    measure_row(name, KEPT / f"{name}.json", lambda: fitted(name))


def measure_task(name: str) -> None:
    """Measure the cells of a task that have not been measured."""
    measure_row(name, task_file(name), lambda: trained_with_images(name))


def measure_row(name: str, file: Path, make: Callable[[], tuple[keras.Model, Images]]) -> None:
    """Measure the cells of a row that are not in its file."""
    cells = kept_cells(file)
    missing = [target for target in COLUMNS if target not in cells]
    if not missing:
        return
    start = time.perf_counter()
    keras.utils.set_random_seed(0)
    model, images = make()
    for target, measured in measure_cells(model, missing, images):
        cells[target] = measured
        print(f"{name} on {target}: {format_cell(measured)}", flush=True)
    print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
    with atomic_path(file) as temporary:
        temporary.write_text(json.dumps(cells, indent=1) + "\n", encoding="utf-8")


def fitted(name: str) -> tuple[keras.Model, Images]:
    """A model of random weights with a fitted last layer, and its images."""
    model = zoo.create_model(name, input_shape=measured_shape(name))
    images = synthetic_images(model)
    fit_last_layer(model, *images["fitting"])
    return model, images


def trained_with_images(task: str) -> tuple[keras.Model, Images]:
    """The trained model of a task, and images of its data."""
    model, data = trained(task)
    return model, {"calibration": data.train, "evaluation": data.test.at(np.arange(TEST_IMAGES))}


def measured_shape(name: str) -> tuple[int, int, int]:
    """The default input shape of the card, or a half, a quarter and so on of it, in multiples of 4."""
    card = zoo.model_card(name)
    height, width, channels = card.input_shape
    multiply_adds = card.multiply_adds
    while multiply_adds > MAX_MULTIPLY_ADDS:
        height, width = (max(card.smallest_input, side // 8 * 4) for side in (height, width))
        multiply_adds /= 4
    return height, width, channels


def task_file(name: str) -> Path:
    """The file with the measured cells of a task."""
    return KEPT / "tasks" / f"{name}.json"


def kept_cells(file: Path) -> dict[str, Cell]:
    """The measured cells of a row by target."""
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
        "losses": {gate.name: gate.figure for gate in own[0].gates if gate.name in LOSSES and gate.figure is not None},
    }


def render_page(models: dict[str, dict[str, Cell]], tasks: dict[str, dict[str, Cell]]) -> str:
    """Render the page as Markdown, from the cells of each row by target."""
    every = list(entries(models | tasks))
    absent = Counter(check for entry in every for check in entry["not run"])
    counted = ", ".join(f"{check} ({count} artifacts)" for check, count in sorted(absent.items()))
    not_run = f"Not run: {counted}.\n" if absent else ""
    not_run += f"Measured: {len(models)} models of {len(fitted_cards())}, "
    not_run += f"{len(tasks)} other tasks of {len(trained_tasks())}.\n"
    red = sum(bool(entry["failed"]) for entry in every)
    return (
        f"{HEAD}\n{not_run}{red} artifacts of {len(every)} fail.\n\n{render_table('model', models)}\n"
        f"{TASKS_HEAD}\n{render_table('task', tasks)}"
    )


def render_table(heading: str, cells: dict[str, dict[str, Cell]]) -> str:
    """Render a table of rows by their titles."""
    header = [heading, *COLUMNS]
    rows = [[title, *(format_cell(of.get(target)) for target in COLUMNS)] for title, of in cells.items()]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows)) + "\n"


def titled_task(name: str) -> str:
    """The name of a task, and that of its model."""
    return f"{name}: `{EXAMPLES[name].model}`"


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
        agreement += "".join(f" {name} {loss:.3g}" for name, loss in entry.get("losses", {}).items())
        failed = f" **failed: {'; '.join(entry['failed'])}**" if entry["failed"] else ""
        facts = "".join(f" {show(entry['facts'][name])}" for name, show in FACTS.items() if name in entry["facts"])
        name = entry["format"].partition("-")[2]
        lines.append(f"{name} {entry['bytes'] / 1e6:.3g} MB{agreement}{milliseconds}{facts}{failed}")
    lines += [f"no {name}: {reason}" for name, reason in cell["skipped"].items()]
    return "<br>".join(lines)


HEAD = f"""# Every model on every target

Generated by `make matrix`; do not edit. [A table below](#models-of-other-tasks) has the tasks besides classification
and segmentation. Each model has its default width, and its default input size unless another one is stated (models with
more than {MAX_MULTIPLY_ADDS / 1e9:.0f} billion multiply-adds have a half or a quarter of it).
For each artifact, the table shows its size, the share of 50 images, or of their pixels, on which it agrees with Keras,
and the median latency of one image in milliseconds on one thread of a shared x86 server, in the first runtime of its
target; and the arena that TensorFlow Lite Micro needs, and Vela's estimates for the NPU. All checks of a target must
pass, with the default thresholds; failures are in bold. C++ source is written for models up to 16 MB; other checks that
did not run lack their GPU or compiler on this machine.

No weights are downloaded: models have random weights and a last layer that is fitted to images of colored squares, so
that their outputs are accurate and errors of an artifact are detected; U-Nets whose last layer has too few inputs for
that are trained on them. Export a trained model to measure what quantization costs it.
"""

TASKS_HEAD = f"""## Models of other tasks

One small model of each task, trained for minutes on data that needs no download (`docs/task_examples.py`) and validated
on {TEST_IMAGES} test images: the table also shows what the artifact loses by the main metric of its task.
"""


if __name__ == "__main__":
    main()
