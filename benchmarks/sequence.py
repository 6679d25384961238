"""Texts of one to eight digits read by small CRNNs: sequence accuracy and character error rate on the test split.

    python benchmarks/sequence.py --seeds 5 --models crnn_micro    # convolutions alone; `lstm` is a narrow CRNN

Fails where the mean sequence accuracy of a net is below `THRESHOLD`.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import argparse
import sys
import time
from typing import Any

import keras
import numpy as np

from pocketzoo import training, zoo

THRESHOLD = 0.95
RECIPE = training.Recipe(
    epochs=25,
    batch_size=32,
    optimizer={"name": "adamw", "lr": 3e-3},
    augmentation=[
        {"name": "rotate", "degrees": 5},
        {"name": "shear"},
        {"name": "translate", "height": 0.08, "width": 0.03},
        {"name": "noise"},
    ],
)
NARROW: dict[str, Any] = {"widths": (8, 16, 32, 32, 48, 48, 64), "normalized": range(1, 8), "units": 32, "dropout": 0.2}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "crnn_micro": ("crnn_micro", {"dropout": 0.2}),
    "lstm": ("crnn", NARROW),
}
"""Card and arguments of its builder by name."""


def main() -> None:
    """Train and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=RECIPE.epochs)
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=MODELS)
    options = parser.parse_args()
    data = training.load_data("digit-strings")
    failed = []
    for name in options.models:
        accuracies = [
            measure(name, data, RECIPE.changed(epochs=options.epochs, seed=seed)) for seed in range(options.seeds)
        ]
        mean = float(np.mean(accuracies))
        print(f"{name}: mean sequence accuracy {mean:.4f}, lowest {min(accuracies):.4f}, threshold {THRESHOLD}")
        failed += [name] if mean < THRESHOLD else []
    sys.exit(f"below the threshold: {', '.join(failed)}" if failed else 0)


def measure(name: str, data: training.ImageData, recipe: training.Recipe) -> float:
    """Return the sequence accuracy of a net on the test split, and print all figures."""
    keras.utils.set_random_seed(recipe.seed)
    card, arguments = MODELS[name]
    model = zoo.create_model(card, labels=data.labels, input_shape=data.image_shape, **arguments)
    start = time.perf_counter()
    training.fit(model, data, recipe, verbose=False)
    minutes = (time.perf_counter() - start) / 60
    evaluation = training.evaluate(model, data)
    low, high = evaluation.intervals["sequence_accuracy"]
    figures = ", ".join(f"{heading} {value:.4f}" for heading, value in evaluation.summary.items())
    print(f"{name}, seed {recipe.seed}: {figures}; 95 % interval {low:.4f} to {high:.4f}", flush=True)
    print(f"{name}, seed {recipe.seed}: {model.count_params():,} parameters, {minutes:.1f} minutes", flush=True)
    return float(evaluation.sequence_accuracy)


if __name__ == "__main__":
    main()
