"""Accuracy on the digits of the models that ship with weights, over several seeds of split and initialization.

python benchmarks/digits_accuracy.py             # about 30 minutes on 2 cores
python benchmarks/digits_accuracy.py lenet5      # about 3 minutes

The recipes are those of the shipped weights, `recipes/*-digits.yaml`. They were tuned on these splits.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import statistics
import sys
from pathlib import Path

import keras

from pocketzoo import training, zoo

RECIPES = Path(__file__).parents[1] / "recipes"
THRESHOLDS = {"lenet5": 0.993, "resnet20": 0.996}
"""Lowest acceptable mean accuracy."""
SEEDS = [(0, 0), (0, 1), (0, 2), (1, 0), (2, 0)]
"""Seed of the split, and seed of the initial weights and the order of the images."""


def main() -> None:
    for name in sys.argv[1:] or THRESHOLDS:
        accuracies = []
        for split, start in SEEDS:
            accuracies.append(accuracy(name, split, start))
            print(f"{name}, split {split}, start {start}: {accuracies[-1]:.2%}", flush=True)
        mean = statistics.mean(accuracies)
        verdict = f"threshold {THRESHOLDS[name]:.1%}: {'ok' if mean >= THRESHOLDS[name] else 'below'}"
        print(f"{name}: mean {mean:.2%}, lowest {min(accuracies):.2%}   {verdict}", flush=True)


def accuracy(name: str, split: int, start: int) -> float:
    """Return the accuracy on the test split, 360 images."""
    height, width, channels = zoo.model_card(name).input_shape
    data = training.load_data("digits", image_size=(height, width), channels=channels, seed=split)
    keras.utils.set_random_seed(start)
    model = zoo.create_model(name)
    recipe = training.Recipe.load(RECIPES / f"{name}-digits.yaml").changed(seed=start)
    training.fit(model, data, recipe, verbose=False)
    return training.evaluate(model, data).accuracy


if __name__ == "__main__":
    main()
