"""Accuracy after compression: fewer channels, zero weights and integers on digits, compared with simple baselines.

python benchmarks/compression.py              # some hours on 2 cores; writes docs/compression_figures.md
python benchmarks/compression.py --seeds 1    # the first seed only

The result of every case and seed is saved in build/compression/ and reused, so the command can be stopped and started
again. All cases of a seed have the same data, the same dense parent and the same number of epochs to recover. Small
models from scratch train for that number of epochs, or for these plus the parent's. Accuracy is measured on the test
split, 360 images.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import argparse
import gzip
import json
import math
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import keras
import numpy as np
from scipy import stats

from pocketzoo import training, zoo
from pocketzoo.core.atomic_files import atomic_path
from pocketzoo.export import load_artifact
from pocketzoo.export.conversion.artifact_files import write_artifacts
from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.sample_images import Samples
from pocketzoo.zoo.layer_table import count_macs

SEEDS = 5
SIDE = 16
"""Height and width in pixels; the digits are scans of 8x8 pixels."""
PARENT = training.Recipe.load(Path(__file__).parents[1] / "recipes" / "resnet20-digits.yaml")
"""The recipe of the weights that ship with the package."""
TUNING = PARENT.changed(epochs=20, optimizer={"lr": 0.02})
INTEGERS = PARENT.changed(epochs=6, optimizer={"lr": 0.002})
STEPS, BETWEEN = 4, 2
"""Number of steps in which channels are removed, where that is not done at once, and epochs after each of them."""
LARGEST_LOSS = 0.3
"""Largest loss of accuracy at half the multiply-adds, in percentage points."""
SAVED = Path(__file__).parents[1] / "build" / "compression"
PAGE = Path(__file__).parents[1] / "docs" / "compression_figures.md"


class Case(NamedTuple):
    """One row of the table."""

    title: str
    make: Callable[[int, training.ImageData], keras.Model]
    """Returns the model, given the seed and the data."""
    integers: bool = False
    """Whether accuracy is that of the int8 artifact in LiteRT; otherwise it is that of the model in Keras."""


def dense(seed: int, data: training.ImageData) -> keras.Model:
    return training.fit(new_model(seed, data), data, PARENT.changed(seed=seed), verbose=False).model


def at_once(share: float, criterion: str, seed: int, data: training.ImageData) -> keras.Model:
    """Return the dense parent with a share of its multiply-adds, fine-tuned with labels."""
    options = {"budget": f"macs:{share}", "criterion": criterion, "round_to": 1, "verbose": False}
    recipe = TUNING.changed(seed=seed)
    return training.prune_channels(saved("dense", seed), data, recipe=recipe, teacher=None, **options).model


def in_steps(share: float, criterion: str, seed: int, data: training.ImageData) -> keras.Model:
    """Return the same pruned in steps, with the dense parent as teacher and the same number of epochs in all."""
    parent, recipe = saved("dense", seed), TUNING.changed(seed=seed)
    options = {"budget": f"macs:{share}", "criterion": criterion, "round_to": 1, "steps": STEPS, "verbose": False}
    small = training.prune_channels(parent, data, recipe=recipe.changed(epochs=BETWEEN), **options).model
    rest = recipe.changed(epochs=recipe.epochs - STEPS * BETWEEN)
    return training.distill(small, parent, data, rest, verbose=False).model


def from_scratch(share: float, epochs: int, seed: int, data: training.ImageData) -> keras.Model:
    """Return the narrowest model with at least that share of the dense model's multiply-adds, trained from scratch."""
    least = share * count_macs(saved("dense", seed))
    net = next(net for net in (new_model(seed, data, width) for width in range(1, 17)) if count_macs(net) >= least)
    return training.fit(net, data, PARENT.changed(seed=seed, epochs=epochs), verbose=False).model


def zeros(sparsity: training.Sparsity, seed: int, data: training.ImageData) -> keras.Model:
    parent = saved("dense", seed)
    return training.prune(parent, data, TUNING.changed(seed=seed), sparsity=sparsity, verbose=False).model


def quantized(case: str, seed: int, data: training.ImageData) -> keras.Model:
    return training.quantize_aware(saved(case, seed), data, INTEGERS.changed(seed=seed), verbose=False).model


def unchanged(seed: int, data: training.ImageData) -> keras.Model:
    return saved("dense", seed)


def channel_cases(times: int) -> dict[str, Case]:
    fewer, share = f"{times}x fewer multiply-adds", 1 / times
    long, short = PARENT.epochs + TUNING.epochs, TUNING.epochs
    return {
        f"taylor-{times}x": Case(f"{fewer}: Taylor in steps, distilled", partial(in_steps, share, "taylor")),
        f"random-distilled-{times}x": Case(f"{fewer}: random in steps, distilled", partial(in_steps, share, "random")),
        f"random-{times}x": Case(f"{fewer}: random at once", partial(at_once, share, "random")),
        f"scratch-{times}x": Case(f"{fewer}: small model, {long} epochs", partial(from_scratch, share, long)),
        f"scratch-short-{times}x": Case(f"{fewer}: small model, {short} epochs", partial(from_scratch, share, short)),
    }


CASES = {
    "dense": Case("dense parent", dense),
    **channel_cases(2),
    **channel_cases(4),
    **{
        f"zeros-{percent}": Case(f"{percent} % zeros", partial(zeros, training.Sparsity(target=percent / 100)))
        for percent in (50, 80, 90, 95)
    },
    "zeros-2-4": Case("2:4 zeros", partial(zeros, training.Sparsity(pattern="2:4"))),
    "int8": Case("int8 after training", unchanged, integers=True),
    "int8-aware": Case("int8-aware training", partial(quantized, "dense"), integers=True),
    "zeros-80-int8": Case("80 % zeros, then int8-aware training", partial(quantized, "zeros-80"), integers=True),
}
"""A case comes after the cases that it starts from."""

Measured = dict[str, dict[str, list[float]]]
"""Values of all seeds, by case and metric."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    seeds = range(parser.parse_args().seeds)
    measured: Measured = {name: {} for name in CASES}
    # One process per case, because TensorFlow does not release the memory of a hundred models.
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        for seed in seeds:
            for name in CASES:
                if not file_of(name, seed).exists():
                    pool.submit(make, name, seed).result()
                for figure, value in json.loads(file_of(name, seed).read_text()).items():
                    measured[name].setdefault(figure, []).append(value)
    page = as_page(measured)
    with atomic_path(PAGE) as temporary:
        temporary.write_text(page, encoding="utf-8")
    print(page)
    print(verdicts(measured))


def file_of(name: str, seed: int) -> Path:
    """Return the file with the results of a case."""
    return SAVED / f"{name}-{seed}.json"


def make(name: str, seed: int) -> None:
    """Run a case, and save its model and its results."""
    case, file, start = CASES[name], file_of(name, seed), time.monotonic()
    data = training.load_data("digits", image_size=SIDE, seed=seed)
    model = case.make(seed, data)
    zoo.save_model(model, file.with_suffix(".keras"))
    results = measure(model, data, integers=case.integers)
    with atomic_path(file) as temporary:
        temporary.write_text(json.dumps(results, indent=1))
    minutes = (time.monotonic() - start) / 60
    print(f"seed {seed}, {case.title}: {results['accuracy']:.2%}, {minutes:.1f} minutes", flush=True)


def measure(model: keras.Model, data: training.ImageData, *, integers: bool) -> dict[str, float]:
    """Return the accuracy on the test split, of the Keras model or of its int8 artifact, and the costs of the model."""
    kernels = [keras.ops.convert_to_numpy(weight) for weight in model.trainable_weights]
    artifact_format = FORMATS["tflite-int8" if integers else "tflite-fp32"]
    with TemporaryDirectory() as folder:
        calibration = Samples.from_source(data.train, "calibration", data.image_shape, len(data.labels), most=200)
        path, _ = next(write_artifacts(ExportGraph.from_model(model), [artifact_format], calibration, Path(folder)))
        if integers:
            images, labels = data.test.arrays()
            accuracy = float(np.mean(load_artifact(path).run(images).argmax(axis=-1) == labels))
        else:
            accuracy = training.evaluate(model, data).accuracy
        return {
            "accuracy": accuracy,
            "multiply-adds": count_macs(model),
            "zeros": 1 - sum(map(np.count_nonzero, kernels)) / sum(kernel.size for kernel in kernels),
            "gzipped": len(gzip.compress(path.read_bytes())),
        }


def new_model(seed: int, data: training.ImageData, width: int = 16) -> keras.Model:
    keras.utils.set_random_seed(seed)
    widths = (width, 2 * width, 4 * width)
    return zoo.create_model("resnet20", labels=data.labels, input_shape=data.image_shape, widths=widths)


def saved(case: str, seed: int) -> keras.Model:
    """Return the model that a case has saved."""
    return zoo.load_model(SAVED / f"{case}-{seed}.keras")


def as_page(measured: Measured) -> str:
    """Return the page of the documentation."""
    parents = measured["dense"]["accuracy"]
    rows = []
    for name, case in CASES.items():
        figures = measured[name]
        changes = [100 * (own - parent) for own, parent in zip(figures["accuracy"], parents, strict=True)]
        fewer = statistics.mean(measured["dense"]["multiply-adds"]) / statistics.mean(figures["multiply-adds"])
        cells = [
            case.title,
            f"{fewer:.2f}",
            f"{100 * statistics.mean(figures['zeros']):.0f} %",
            f"{statistics.mean(figures['gzipped']) / 1000:.0f}",
            interval([100 * accuracy for accuracy in figures["accuracy"]], ".2f"),
            "" if name == "dense" else interval(changes, "+.2f"),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return TEXT.format(rows="\n".join(rows), seeds=len(parents))


def verdicts(measured: Measured) -> str:
    """Compare Taylor in steps with a teacher to the dense parent at 2x and to the baselines at 4x, with thresholds."""

    def mean(name: str) -> float:
        return 100 * statistics.mean(measured[name]["accuracy"])

    loss = mean("dense") - mean("taylor-2x")
    lines = [f"2x: {loss:.2f} points below the dense parent; at most {LARGEST_LOSS}: {verdict(loss <= LARGEST_LOSS)}"]
    for other in ("random-distilled-4x", "random-4x", "scratch-short-4x", "scratch-4x"):
        gain = mean("taylor-4x") - mean(other)
        lines.append(f"4x: {gain:+.2f} points compared with {CASES[other].title}; above 0: {verdict(gain > 0)}")
    return "\n".join(lines)


def verdict(holds: bool) -> str:
    return "ok" if holds else "missed"


def interval(values: list[float], form: str) -> str:
    """Return the mean over the seeds, with a 95 % confidence interval by Student's t distribution."""
    if len(values) == 1:
        return format(values[0], form)
    margin = stats.t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return f"{statistics.mean(values):{form}} ± {margin:.2f}"


TEXT = """# Accuracy after compression

Generated by `python benchmarks/compression.py`.

A `resnet20` learns the handwritten digits of scikit-learn (16x16 pixels) for 40 epochs and is then compressed with
every technique of this package. All start from the same parent and are fine-tuned for 20 epochs in total; where
channels are removed in 4 steps, each step is followed by 2 of these epochs, and the rest comes at the end. Small
networks are trained from scratch, for as many epochs as the fine-tuning, or for those of the parent in addition, and
have the smallest widths with at least as many multiply-adds as what they are compared with. Weights are pruned where
`training.prune` does so by default, so not in the first and the last layer. Quantization-aware training takes 6
epochs. Each figure is the mean over {seeds} seeds (of split, initial weights and order) with a 95 % Student interval;
the change is that of each seed from its own parent. Accuracy is on the test split of 360 images, where one image is
0.28 points: in Keras for float models, in LiteRT for integer ones.

| | times fewer multiply-adds | zeros of all weights | TFLite kB, gzipped | accuracy | change in points |
|---|---:|---:|---:|---:|---:|
{rows}

## Published by others

On other data, so compare the changes, not the values.

| from | data | what | before | after |
|---|---|---|---:|---:|
| TF-MOT, guide to pruning | ImageNet | InceptionV3, 50 % zeros | 78.1 | 78.0 |
| TF-MOT, guide to pruning | ImageNet | InceptionV3, 75 % zeros | 78.1 | 76.1 |
| TF-MOT, guide to pruning | ImageNet | InceptionV3, 87.5 % zeros | 78.1 | 74.6 |
| TF-MOT, guide to pruning | ImageNet | MobileNetV1, 50 % zeros | 71.04 | 70.84 |
| TF-MOT, guide to quantization-aware training | ImageNet | MobileNetV1 | 71.03 | 71.06 |
| TF-MOT, guide to quantization-aware training | ImageNet | ResNet-50 | 76.3 | 76.1 |
| TF-MOT, guide to quantization-aware training | ImageNet | MobileNetV2 | 70.77 | 70.01 |
| Torch-Pruning, reproduce/readme.md | CIFAR-10 | ResNet-56, 2.11x fewer multiply-adds, group norm | 93.53 | 93.46 |
| Torch-Pruning, reproduce/readme.md | CIFAR-10 | ResNet-56, 2.13x, sparse learning | 93.53 | 93.77 |
| Torch-Pruning, reproduce/readme.md | CIFAR-10 | ResNet-56, 2.51x, group norm | 93.53 | 93.36 |
| Torch-Pruning, reproduce/readme.md | CIFAR-10 | ResNet-56, 2.57x, sparse learning | 93.53 | 93.64 |
"""


if __name__ == "__main__":
    main()
