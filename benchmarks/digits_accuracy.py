"""How good the nets that ship with weights are on the digits, over seeds of split and start.

python benchmarks/digits_accuracy.py             # about 30 minutes on 2 cores
python benchmarks/digits_accuracy.py lenet5      # about 3 minutes

The recipes are those of the weights that ship, `recipes/*-digits.yaml`. They were chosen on these splits.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import statistics
import sys
from pathlib import Path

import keras

from pocketzoo import training, zoo

RECIPES = Path(__file__).parents[1] / "recipes"
BARS = {"lenet5": 0.993, "resnet20": 0.996}
"""Least mean accuracy."""
SEEDS = [(0, 0), (0, 1), (0, 2), (1, 0), (2, 0)]
"""Of the split, and of the first weights and the order of the images."""


def main() -> None:
    for name in sys.argv[1:] or BARS:
        accuracies = []
        for split, start in SEEDS:
            accuracies.append(accuracy(name, split, start))
            print(f"{name}, split {split}, start {start}: {accuracies[-1]:.2%}", flush=True)
        mean = statistics.mean(accuracies)
        verdict = f"bar {BARS[name]:.1%}: {'ok' if mean >= BARS[name] else 'under'}"
        print(f"{name}: mean {mean:.2%}, least {min(accuracies):.2%}   {verdict}", flush=True)


def accuracy(name: str, split: int, start: int) -> float:
    """Share of right answers on the test split, 360 images."""
    height, width, channels = zoo.model_card(name).input_shape
    data = training.load_data("digits", image_size=(height, width), channels=channels, seed=split)
    keras.utils.set_random_seed(start)
    model = zoo.create_model(name)
    recipe = training.Recipe.load(RECIPES / f"{name}-digits.yaml").changed(seed=start)
    training.fit(model, data, recipe, verbose=False)
    return training.evaluate(model, data).accuracy


if __name__ == "__main__":
    main()
