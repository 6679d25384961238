"""`pocketzoo quickstart`: the whole way once, on real digits, without a network."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import console
from .heavy import import_tensorflow
from .options import Json

if TYPE_CHECKING:
    from ..training import ImageData

SPARSITY = 0.8
TARGETS = ("mobile", "edge-mcu", "gpu", "server-int8")
"""What can be proven without more than the package itself brings, but for parts that are marked as skipped."""
OPTIMIZER = {"optimizer": {"name": "nesterov", "lr": 0.05, "weight_decay": 5e-3}}
"""Found by trial on these digits; benchmarks/digits_accuracy.py has the figures over several seeds."""


@dataclass(frozen=True)
class Plan:
    """How long to train, and what must come of it."""

    epochs: int
    prune_epochs: int
    least_accuracy: float
    """On the test split, 0..1."""
    largest_drop: float
    """Accuracy that pruning may cost, 0..1."""


FULL = Plan(epochs=60, prune_epochs=20, least_accuracy=0.99, largest_drop=0.005)
FAST = Plan(epochs=12, prune_epochs=10, least_accuracy=0.95, largest_drop=0.03)


def quickstart(
    out: Annotated[Path, typer.Option(help="The bundle's directory; an earlier quickstart there is replaced.")] = Path(
        "build/quickstart"
    ),
    fast: Annotated[
        bool,
        typer.Option("--fast", help="Train a third as long, held to lower bars: 95 %, and 3 points lost by pruning."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Train LeNet-5 on real digits, prune it, export it, and prove every artifact."""
    import_tensorflow()
    import keras

    from .. import export, training, zoo
    from ..export.artifact.bundle_directory import check_free
    from ..export.artifact.manifest import Gate
    from ..training.compression.weights.pruning import DEFAULT_RECIPE

    out = out if out.name else out.resolve()  # "." has no name to put "-runs" behind
    check_free(out, overwrite=True)  # before the minutes of training
    plan = FAST if fast else FULL
    start = time.perf_counter()
    runs = out.with_name(f"{out.name}-runs")
    data = training.load_data("digits")
    keras.utils.set_random_seed(0)
    model = zoo.create_model("lenet5", labels=data.labels)
    training.fit(model, data, training.Recipe(epochs=plan.epochs, **OPTIMIZER), run_dir=runs / "train", overwrite=True)
    trained = training.evaluate(model, data).accuracy
    how = DEFAULT_RECIPE.changed(epochs=plan.prune_epochs)
    result = training.prune(model, data, how, sparsity=SPARSITY, run_dir=runs / "prune", overwrite=True)
    pruned = training.evaluate(model, data).accuracy
    gates = [
        Gate.measured("accuracy after training", trained, ">=", plan.least_accuracy),
        Gate.measured("accuracy after pruning", pruned, ">=", round(trained - plan.largest_drop, 4)),
        # Kernels round to whole weights.
        Gate.measured("zeros in the kernels", result.metrics["sparsity"], ">=", SPARSITY - 0.001),
    ]
    if not as_json:
        rows = [(gate.name, f"{gate.figure:.2%}", gate.requirement, gate.status) for gate in gates]
        console.show_table(("lenet5 in Keras", "test split", "bar", "proof"), rows)
    failed = [gate.sentence for gate in gates if gate.status == "failed"]
    if failed:
        raise export.ProofError(f"the quickstart missed a bar: {'; '.join(failed)}.")
    with console.status("Converting and proving"):
        manifest = export.export_model(
            model, out, targets=TARGETS, calibration=data.train, evaluation=data.test, overwrite=True
        )
    digit = _save_digit(data, out)
    seconds = time.perf_counter() - start
    if as_json:
        checks = [gate.model_dump() for gate in gates]
        console.show_json({"checks": checks, "manifest": manifest.model_dump(mode="json"), "seconds": seconds})
        return
    console.show_manifest(manifest)
    phones = [artifact for artifact in manifest.artifacts if "mobile-cpu" in artifact.targets]
    smallest = min(phones, key=lambda artifact: artifact.gzip_bytes).file
    typer.echo(f"Done in {seconds:.0f} s. Bundle with manifest.json and report.md: {out}")
    typer.echo(f"Curves of the runs: {runs}/*/curves.png")
    typer.echo(f"Try: pocketzoo predict {out / smallest} {digit}")


def _save_digit(data: "ImageData", out: Path) -> Path:
    """Writes the first test image as a picture to predict."""
    import numpy as np
    from PIL import Image

    path = out / "digit.png"
    Image.fromarray(data.test.images.take(np.array([0]))[0, :, :, 0]).save(path)
    return path
