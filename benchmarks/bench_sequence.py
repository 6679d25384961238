"""Texts of one to eight digits read by small CRNNs: sequence accuracy and character error rate on the test split.

python benchmarks/bench_sequence.py [MODEL ...]        # crnn_micro (convolutions alone) and lstm, a narrow CRNN
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import sys
import time
from typing import Any

import keras

from pocketzoo import training, zoo

RECIPE = training.Recipe(
    epochs=15,
    batch_size=32,
    optimizer={"name": "adamw", "lr": 3e-3},
    augmentation=[{"name": "rotate", "degrees": 5}],
)
Model = tuple[str, dict[str, Any]]
NARROW: dict[str, Any] = {"widths": (8, 16, 32, 32, 48, 48, 64), "normalized": range(1, 8), "units": 32, "dropout": 0.2}
MODELS: dict[str, Model] = {"crnn_micro": ("crnn_micro", {"dropout": 0.2}), "lstm": ("crnn", NARROW)}
THRESHOLD = 0.95


def main(names: list[str]) -> None:
    data = training.load_data("digit-strings")
    for name in names:
        keras.utils.set_random_seed(RECIPE.seed)
        card, arguments = MODELS[name]
        model = zoo.create_model(card, labels=data.labels, input_shape=data.image_shape, **arguments)
        start = time.perf_counter()
        training.fit(model, data, RECIPE)
        minutes = (time.perf_counter() - start) / 60
        evaluation = training.evaluate(model, data)
        low, high = evaluation.intervals["sequence_accuracy"]
        for heading, value in evaluation.summary.items():
            print(f"{name}: {heading} {value:.4f}")
        passed = "ok" if evaluation.sequence_accuracy >= THRESHOLD else "below"
        print(f"{name}: 95 % interval {low:.4f} to {high:.4f}; threshold {THRESHOLD}: {passed}")
        print(f"{name}: {model.count_params():,} parameters, {minutes:.1f} minutes")


if __name__ == "__main__":
    main(sys.argv[1:] or list(MODELS))
