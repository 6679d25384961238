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
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np

from pocketzoo import export, training, zoo
from pocketzoo.export.manifest import ArtifactRecord
from pocketzoo.export.targets import TARGETS
from pocketzoo.training.tasks import tasks_of
from pocketzoo.zoo.atomic import atomic_path

KEPT = Path(__file__).parents[1] / "build" / "matrix"
PAGE = Path(__file__).with_name("matrix.md")
DATA = {"classification": "digits", "segmentation": "digit-scenes"}
FITTED, CALIBRATING, EVALUATING = 300, 100, 100
"""Images."""
PLACES = 4000
"""Of maps, that a last layer is fitted to."""
SHARPNESS = 12.0
"""Logit of the right class, above that of the others, that a last layer is fitted to."""

BARS = {
    "classification": {"agreement": 0.9, "accuracy_drop": 0.1},
    "segmentation": {"agreement": 0.9, "mean_iou_drop": 0.1},
}
"""Lower ones, since integers are harder on nets that were not trained. What is wrong in a graph is far below them."""

Cell = dict[str, Any]
"""`artifacts`, each with its figures, or `reason`: why there are none."""


def main() -> None:
    """Measures what is missing, and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cards", nargs="*", default=zoo.list_models())
    for name in parser.parse_args().cards:
        measure_card(name)
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
    fit_last_layer(model, *images["fitting"])
    for target in missing:
        measured = cell(model, target, images)
        with atomic_path(cell_file(name, target)) as temporary:
            temporary.write_text(json.dumps(measured, indent=1), encoding="utf-8")
        print(f"{name} on {target}: {shown(measured)}", flush=True)
    keras.backend.clear_session()


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
    """Pictures of digits in the size that `model` takes."""
    *sides, channels = model.input_shape[1:]
    data = training.load_data(DATA[tasks_of(model)], image_size=tuple(sides), channels=channels)
    kinds = {"fitting": (data.train, FITTED), "calibration": (data.train, CALIBRATING)}
    kinds["evaluation"] = (data.test, EVALUATING)
    rows = {kind: np.arange(min(count, len(split))) for kind, (split, count) in kinds.items()}
    most = model.output_shape[-1] - 1  # where a model tells fewer classes apart, such as drawn from not drawn
    return {
        kind: (split.images.take(rows[kind]), np.minimum(split.labels[rows[kind]], most))
        for kind, (split, _) in kinds.items()
    }


def fit_last_layer(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> None:
    """Makes a net of random weights answer right, mostly: its last layer is solved for what the others make of images.

    A net that was never trained answers nearly the same to everything, so that whether an artifact agrees with it says
    nothing. Random features and a linear reading of them (Huang et al. 2006) take no training.
    """
    flat = zoo.flatten_model(model)
    last = [layer for layer in flat.layers if isinstance(layer, keras.layers.Dense | keras.layers.Conv2D)][-1]
    trunk = keras.Model(flat.input, last._inbound_nodes[-1].input_tensors[0])  # the one of the flat model
    set_statistics(flat, images[:32])
    features, right = rows_of(trunk.predict(images, batch_size=16, verbose=0), labels)
    classes = last.kernel.shape[-1]
    wanted = SHARPNESS * (np.eye(classes)[right] - 1 / classes)
    centre = features.mean(axis=0)
    centred = features - centre
    gram = centred @ centred.T
    gram += 1e-3 * np.trace(gram) / len(gram) * np.eye(len(gram))
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


def set_statistics(flat: keras.Model, images: np.ndarray) -> None:
    """Gives every BatchNorm the statistics of these images, without which a deep random net's answers blow up."""
    norms = [layer for layer in flat.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    flat(images.astype("float32"), training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def cell(model: keras.Model, target: str, images: Images) -> Cell:
    """What a target makes of a model."""
    with TemporaryDirectory() as folder:
        out = Path(folder, "bundle")
        try:
            pixels, right = images["evaluation"]
            if right.ndim > 1 and right.shape[1:] != model.output_shape[1:-1]:
                right = None  # convolutions without padding answer for the middle of an image only
            shown_images = {"calibration": images["calibration"], "evaluation": (pixels, right)}
            manifest = export.export_model(model, out, targets=[target], bars=BARS[tasks_of(model)], **shown_images)
        except export.ProofError:
            manifest = export.Manifest.load(f"{out}.failed/manifest.json")
        except (zoo.InputError, export.ConversionError) as error:
            return {"reason": str(error).replace(folder, "")}
    return {"artifacts": [figures(record) for record in manifest.artifacts], "skipped": manifest.skipped}


def figures(record: ArtifactRecord) -> dict[str, Any]:
    """Of one artifact, in its first runtime; what failed and what could not run, in any."""
    first = record.checks[0]
    failed = [f"{gate.sentence}{f' in {where}' if where else ''}" for where, gate in record.located_gates
              if gate.status == "failed"]  # fmt: skip
    return {
        "format": record.format,
        "bytes": record.bytes,
        "agreement": first.agreement,
        "ms": first.median_ms,
        "failed": failed,
        "not run": [check.name for check in record.checks if check.skipped],
    }


def page(cells: dict[str, dict[str, Cell]]) -> str:
    """The page as Markdown."""
    header = ["model", *TARGETS]
    rows = [[f"`{name}`", *(shown(of.get(target)) for target in TARGETS)] for name, of in cells.items()]
    absent = sorted({check for entry in entries(cells) for check in entry["not run"]})
    table = [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]
    not_run = f"Not run on this machine: {', '.join(absent)}.\n" if absent else ""
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
        kind = entry["format"].partition("-")[2]
        lines.append(f"{kind} {entry['bytes'] / 1e6:.3g} MB{agreement}{milliseconds}{failed}")
    lines += [f"no {name}: {reason}" for name, reason in cell["skipped"].items()]
    return "<br>".join(lines)


HEAD = """# Every model on every target

Made by `make matrix`; do not edit. Each model has its default size and width. An artifact stands with its size, the
share of 100 pictures of digits on which it agrees with Keras, and the median milliseconds of one image on one thread,
in the first runtime of its target. Everything else that a target puts it to must pass too; what fails is in bold.

No weights are downloaded: a model has random ones, with BatchNorm's statistics of these pictures, and a last layer
solved for them, so that its answers are mostly right and an artifact that errs is found out. Integers are harder on
such nets than on trained ones, so that the bars are 90 % for agreement and ten points for accuracy or IoU; others are
those of every export.
"""


if __name__ == "__main__":
    main()
