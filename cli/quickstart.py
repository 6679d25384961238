"""`pocketzoo quickstart`: from training to validated artifacts, on real digits, without a network connection."""

import shlex
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.atomic_files import atomic_path
from ..core.work_directory import lend_directory
from . import console
from .options import Json
from .results import show_manifest
from .tensorflow_import import import_tensorflow

if TYPE_CHECKING:
    import keras

    from ..export.artifact.manifest import Gate, Manifest
    from ..training import ImageData

SPARSITY = 0.8
TARGETS = ("mobile", "edge-mcu", "gpu", "server-int8")
"""Targets that can be validated with the base package, except for checks that are reported as skipped."""
OPTIMIZER = {"optimizer": {"name": "nesterov", "lr": 0.05, "weight_decay": 5e-3}}
"""Tuned on these digits; benchmarks/digits_accuracy.py reports the accuracy over several seeds."""

ABOUT_DIGIT = (
    "is an image of the test split, as all images should be here: one digit that fills the image, in bright strokes on "
    "black. Invert a dark digit on paper."
)


@dataclass(frozen=True)
class Plan:
    """Length of the training, and thresholds for its result."""

    epochs: int
    prune_epochs: int
    least_accuracy: float
    """On the test split, 0..1."""
    largest_drop: float
    """Largest loss of accuracy by pruning, 0..1."""


FULL = Plan(epochs=60, prune_epochs=20, least_accuracy=0.99, largest_drop=0.005)
FAST = Plan(epochs=12, prune_epochs=10, least_accuracy=0.95, largest_drop=0.03)


def quickstart(
    out: Annotated[Path, typer.Option(help="Directory for the bundle; replaces an earlier quickstart's.")] = Path(
        "build/quickstart"
    ),
    fast: Annotated[
        bool,
        typer.Option(
            "--fast",
            help="Train for a fraction of the epochs, with lower thresholds: 95 % accuracy, and a loss of 3 points by "
            "pruning.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Train LeNet-5 on real digits, prune it, export it, and validate every artifact."""
    from ..export.artifact.bundle_directory import check_free

    out = out if out.name else out.resolve()  # "." has no name that "-runs" could follow
    runs = out.with_name(f"{out.name}-runs")
    with lend_directory(runs, remedy="run quickstart again, which starts over"):
        check_free(out, overwrite=True)  # before minutes of training
        import_tensorflow()
        _run(out, runs, FAST if fast else FULL, as_json=as_json)


def _run(out: Path, runs: Path, plan: Plan, *, as_json: bool) -> None:
    import keras

    from .. import export, training, zoo
    from ..export.artifact.manifest import Gate
    from ..export.example import example_lines
    from ..export.readme.readme import write_readme
    from ..training.compression.default_recipes import SPARSITY as PRUNING

    start = time.perf_counter()
    data = training.load_data("digits")
    keras.utils.set_random_seed(0)
    model = zoo.create_model("lenet5", labels=data.labels)
    training.fit(model, data, training.Recipe(epochs=plan.epochs, **OPTIMIZER), run_dir=runs / "train", overwrite=True)
    trained = _accuracy(model, data)
    recipe = PRUNING.changed(epochs=plan.prune_epochs)
    result = training.prune(model, data, recipe, sparsity=SPARSITY, run_dir=runs / "prune", overwrite=True)
    pruned = _accuracy(model, data)
    gates = [
        Gate.measured("accuracy after training", trained, ">=", plan.least_accuracy),
        Gate.measured("accuracy after pruning", pruned, ">=", round(trained - plan.largest_drop, 4)),
        # The share of zeros is rounded to whole weights in each kernel.
        Gate.measured("zeros in the kernels", result.metrics["sparsity"], ">=", SPARSITY - 0.001),
    ]
    if not as_json:
        _show_gates(gates)
    failed = [gate.sentence for gate in gates if gate.status == "failed"]
    if failed:
        raise export.ProofError(f"the quickstart missed a threshold: {'; '.join(failed)}.")
    digit = _save_digit(data, runs)
    with console.status("Converting and validating"):
        manifest = export.export_model(
            model, out, targets=TARGETS, calibration=data.train, evaluation=data.test, example=digit, overwrite=True
        )
    source = f"{shlex.quote(str(runs / 'prune' / 'best.keras'))} --data digits"
    write_readme(manifest, out, tuple(example_lines(manifest, out, digit.name, ABOUT_DIGIT)), source)
    digit = out / digit.name
    seconds = time.perf_counter() - start
    if as_json:
        checks = [gate.model_dump() for gate in gates]
        console.show_json({"checks": checks, "manifest": manifest.model_dump(mode="json"), "seconds": seconds})
        return
    show_manifest(manifest)
    typer.echo(f"Done in {seconds:.0f} s. Bundle with README.md, manifest.json and report.md: {out}")
    typer.echo(f"Training curves: {runs}/*/curves.png")
    words = (_own_command(), "predict", str(out / _smallest_for_phones(manifest)), str(digit))
    typer.echo(f"Try: {shlex.join(words)}")


def _accuracy(model: "keras.Model", data: "ImageData") -> float:
    from .. import training

    evaluation = training.evaluate(model, data)
    assert isinstance(evaluation, training.Evaluation)  # LeNet-5 has one classification output
    return evaluation.accuracy


def _show_gates(gates: "list[Gate]") -> None:
    rows = [(gate.name, f"{gate.figure:.2%}", gate.requirement, gate.status) for gate in gates]
    console.show_table(("lenet5 in Keras", "test split", "threshold", "status"), rows)


def _smallest_for_phones(manifest: "Manifest") -> str:
    phones = [artifact for artifact in manifest.artifacts if "mobile-cpu" in artifact.targets]
    return min(phones, key=lambda artifact: artifact.gzip_bytes).file


def _own_command() -> str:
    """The command in this shell: its name where that is found, else its path, as in an environment not activated."""
    script = Path(sys.executable).with_name("pocketzoo")
    if shutil.which("pocketzoo") or not script.exists():
        return "pocketzoo"
    return str(script.relative_to(Path.cwd()) if script.is_relative_to(Path.cwd()) else script)


def _save_digit(data: "ImageData", folder: Path) -> Path:
    """Write the first test image as a picture to predict."""
    import numpy as np
    from PIL import Image

    path = folder / "digit.png"
    with atomic_path(path) as temporary:
        Image.fromarray(data.test.images.take(np.array([0]))[0, :, :, 0]).save(temporary)
    return path
