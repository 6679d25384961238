"""Writes docs/matrix.md: every model of the zoo on every target, measured.

python docs/make_matrix.py                            # hours on 2 cores; `make matrix`
python docs/make_matrix.py --cards lenet5 resnet20    # these, and what was measured before

Every cell is kept in build/matrix/ when it is done, and not done again: the command can be stopped and started as one
likes. Remove a file there to have its cell measured anew.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np

from pocketzoo import export, zoo
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.manifest import ArtifactRecord
from pocketzoo.export.targets import TARGETS, checks_of
from pocketzoo.training.tasks import tasks_of
from pocketzoo.zoo.atomic import atomic_path

KEPT = Path(__file__).parents[1] / "build" / "matrix"
PAGE = Path(__file__).with_name("matrix.md")
FITTED, CALIBRATING, EVALUATING = 300, 32, 50
"""Images."""
KINDS = {"classification": 10, "segmentation": 3}
"""Of images, or of places in them."""
CELLS, CHANCE = 4, 0.25
"""Squares along a side of an image; share of what is drawn by chance."""
PLACES = 4000
"""Of maps, that a last layer is fitted to."""
FACTS = {
    "arena_bytes": lambda count: f"arena {count / 1e3:.4g} kB",
    "inferences_per_second": lambda rate: f"NPU {1000 / rate:.3g} ms",
    "sram_bytes": lambda count: f"SRAM {count / 1e3:.4g} kB",
}
"""What targets say of an artifact that is shown, and how."""
SHARPNESS = 12.0
"""Logit of the right class, above that of the others, that a last layer is fitted to."""
RIDGE = 0.1
"""Of the mean square of the features."""

Cell = dict[str, Any]
"""`artifacts`, each with its figures, or `reason`: why there are none."""


def main() -> None:
    """Measures what is missing, and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cheapest_first = sorted(zoo.list_models(), key=lambda name: zoo.model_card(name).multiply_adds)
    parser.add_argument("--cards", nargs="*", default=cheapest_first)
    # A process for each, since TensorFlow keeps memory of every model that it has converted.
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        for _ in pool.map(measure_card, parser.parse_args().cards):
            pass
    with atomic_path(PAGE) as temporary:
        temporary.write_text(page(kept_cells()), encoding="utf-8")
    print(PAGE)


def measure_card(name: str) -> None:
    """Measures the cells of a card that are not kept yet."""
    missing = [target for target in TARGETS if not cell_file(name, target).exists()]
    if not missing:
        return
    keras.utils.set_random_seed(0)
    model = zoo.create_model(name)
    images = some_images(model)
    as_if_trained(model, *images["fitting"])
    for target, measured in measured_cells(model, missing, images):
        with atomic_path(cell_file(name, target)) as temporary:
            temporary.write_text(json.dumps(measured, indent=1), encoding="utf-8")
        print(f"{name} on {target}: {shown(measured)}", flush=True)


def cell_file(name: str, target: str) -> Path:
    """Where a cell is kept."""
    return KEPT / f"{name}@{target}.json"


def kept_cells() -> dict[str, dict[str, Cell]]:
    """By card and target."""
    cells = {name: {target: cell_file(name, target) for target in TARGETS} for name in zoo.list_models()}
    return {
        name: {target: json.loads(file.read_text()) for target, file in files.items() if file.exists()}
        for name, files in cells.items()
        if any(file.exists() for file in files.values())
    }


Images = dict[str, tuple[np.ndarray, np.ndarray]]
"""For fitting, for calibration and for evaluation, each with what is right."""


def some_images(model: keras.Model) -> Images:
    """Pictures of coloured squares in the size that `model` takes, which the simplest net can tell apart.

    For classification each class has its squares, mixed with others by chance; for segmentation each class has its
    colour, and each square its class.
    """
    *sides, channels = model.input_shape[1:]
    task = tasks_of(model)
    classes = min(KINDS[task], model.output_shape[-1])
    draw = coloured_places if task == "segmentation" else coloured_kinds
    counts = {"fitting": FITTED, "calibration": CALIBRATING, "evaluation": EVALUATING}
    drawn = {
        name: draw(np.random.default_rng(seed), count, classes, channels)
        for seed, (name, count) in enumerate(counts.items())
    }
    return {
        name: (enlarged(squares, sides).astype("uint8"), enlarged(labels, sides) if labels.ndim > 1 else labels)
        for name, (squares, labels) in drawn.items()
    }


def coloured_kinds(
    random: np.random.Generator, count: int, classes: int, channels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Squares `(count, CELLS, CELLS, channels)` in 0..255, and the class of each image."""
    kinds = np.random.default_rng(100).uniform(0, 255, (classes, CELLS, CELLS, channels))
    labels = random.integers(0, classes, count)
    return mixed(random, kinds[labels]), labels


def coloured_places(
    random: np.random.Generator, count: int, classes: int, channels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Squares `(count, CELLS, CELLS, channels)` in 0..255, and the class of each."""
    kinds = np.linspace(0, 255, classes)[:, None] * np.ones(channels)
    kinds = np.random.default_rng(100).permuted(kinds, axis=0)
    labels = random.integers(0, classes, (count, CELLS, CELLS))
    return mixed(random, kinds[labels]), labels


def mixed(random: np.random.Generator, squares: np.ndarray) -> np.ndarray:
    """Each with a share of another colour."""
    return (1 - CHANCE) * squares + CHANCE * random.uniform(0, 255, squares.shape)


def enlarged(squares: np.ndarray, sides: Sequence[int]) -> np.ndarray:
    """To images of that height and width."""
    rows, columns = (np.arange(side) * CELLS // side for side in sides)
    return squares[:, rows][:, :, columns]


def as_if_trained(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> None:
    """Makes a net of random weights answer right: its last layer is solved for what the others make of images.

    A net that was never trained answers nearly the same to everything, so that whether an artifact agrees with it says
    nothing. Random features and a linear reading of them (Huang et al. 2006) take no training. Behind BatchNorm they
    are chaotic, though: a rounding grows by about half in each layer (Yang et al. 2019, arXiv:1902.08129), which it
    does not in trained nets. Offsets of 1, with which an activation passes most values, keep it small.
    """
    flat = zoo.flatten_model(model)
    last = [layer for layer in flat.layers if isinstance(layer, keras.layers.Dense | keras.layers.Conv2D)][-1]
    trunk = keras.Model(flat.input, last._inbound_nodes[-1].input_tensors[0])  # the one of the flat model
    set_norms(flat, images[:32])
    features, right = rows_of(trunk.predict(images, batch_size=16, verbose=0), labels)
    classes = last.kernel.shape[-1]
    wanted = SHARPNESS * (np.eye(classes)[right] - 1 / classes)
    centre = features.mean(axis=0)
    centred = features - centre
    gram = centred @ centred.T
    gram += RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    kernel = centred.T @ np.linalg.solve(gram, wanted)
    last.kernel.assign(kernel.reshape(last.kernel.shape))
    if last.bias is not None:
        last.bias.assign(-centre @ kernel)


def rows_of(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One row an image, or a number of places of maps that have an answer each, and the class of each row."""
    features = features.astype("float64")
    if features.ndim == 2:
        return features, labels
    if labels.ndim == 1:  # scores of all places are averaged
        return features.mean(axis=(1, 2)), labels
    strides = np.array(labels.shape[1:]) // features.shape[1:3]
    places = labels[:, :: strides[0], :: strides[1]][:, : features.shape[1], : features.shape[2]].ravel()
    features = features.reshape(-1, features.shape[-1])
    chosen = np.random.default_rng(0).permutation(len(places))[:PLACES]
    return features[chosen], places[chosen]


def set_norms(flat: keras.Model, images: np.ndarray) -> None:
    """Gives every BatchNorm an offset of 1, and the statistics of these images."""
    norms = [layer for layer in flat.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        if norm.center:
            norm.beta.assign(np.ones(norm.beta.shape))
    flat(images.astype("float32"), training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def measured_cells(model: keras.Model, targets: Sequence[str], images: Images) -> Iterator[tuple[str, Cell]]:
    """What each target makes of a model. All share their artifacts; where these cannot be made, each has its own."""
    try:
        manifest = exported(model, targets, images)
    except (zoo.InputError, export.ConversionError) as error:
        if len(targets) == 1:
            yield targets[0], {"reason": str(error).partition(" All that it said")[0]}
            return
        for target in targets:
            yield from measured_cells(model, [target], images)
        return
    for target in targets:
        records = [record for record in manifest.artifacts if target in record.targets]
        skipped = {name: why for name, why in manifest.skipped.items() if name in TARGETS[target].checks}
        yield target, {"artifacts": [figures(record, target, targets) for record in records], "skipped": skipped}


def exported(model: keras.Model, targets: Sequence[str], images: Images) -> export.Manifest:
    """What was measured of the artifacts for `targets`, whether or not they pass."""
    pixels, right = images["evaluation"]
    if right.ndim > 1 and right.shape[1:] != model.output_shape[1:-1]:
        right = None  # convolutions without padding answer for the middle of an image only
    shown_images = {"calibration": images["calibration"], "evaluation": (pixels, right)}
    with TemporaryDirectory() as folder:
        out = Path(folder, "bundle")
        try:
            return export.export_model(model, out, targets=targets, **shown_images)
        except export.ProofError:
            return export.Manifest.load(f"{out}.failed/manifest.json")


def figures(record: ArtifactRecord, target: str, targets: Sequence[str]) -> dict[str, Any]:
    """Of one artifact, in the first runtime of `target`; what failed and what could not run, in any of its own.

    Args:
        record: Of the artifact.
        target: One of `targets`.
        targets: For which it was made: its checks are theirs.
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


def page(cells: dict[str, dict[str, Cell]]) -> str:
    """The page as Markdown."""
    header = ["model", *TARGETS]
    rows = [[f"`{name}`", *(shown(of.get(target)) for target in TARGETS)] for name, of in cells.items()]
    absent = sorted({check for entry in entries(cells) for check in entry["not run"]})
    table = [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]
    not_run = f"Not run on this machine: {', '.join(absent)}.\n" if absent else ""
    not_run += f"Measured so far: {len(cells)} models of {len(zoo.list_models())}.\n"
    red = sum(bool(entry["failed"]) for entry in entries(cells))
    return f"{HEAD}\n{not_run}{red} artifacts of {len(list(entries(cells)))} fail.\n\n" + "\n".join(table) + "\n"


def entries(cells: dict[str, dict[str, Cell]]) -> Iterable[dict[str, Any]]:
    """All artifacts of all cells."""
    return (entry for of in cells.values() for cell in of.values() for entry in cell.get("artifacts", ()))


def shown(cell: Cell | None) -> str:
    """Such as `int8 25.9 MB 99 % 9.7 ms`, a line for each artifact, or why there is none."""
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
        kind = entry["format"].partition("-")[2]
        lines.append(f"{kind} {entry['bytes'] / 1e6:.3g} MB{agreement}{milliseconds}{facts}{failed}")
    lines += [f"no {name}: {reason}" for name, reason in cell["skipped"].items()]
    return "<br>".join(lines)


HEAD = """# Every model on every target

Made by `make matrix`; do not edit. Each model has its default size and width. An artifact stands with its size, the
share of 50 pictures, or of their places, on which it agrees with Keras, and the median milliseconds of one image on one
thread of an x86 server, in the first runtime of its target; and what TensorFlow Lite Micro needs for its arena, and
what Vela estimates for the NPU. All that a target puts an artifact to must pass, by the bars of every export; what
fails is in bold.

No weights are downloaded: a model has random ones, and a last layer solved for what the others make of pictures of
coloured squares, so that its answers are right and an artifact that errs is found out. What integers cost a trained net
is told by exporting it.
"""


if __name__ == "__main__":
    main()
