"""Digits on photographs counted by the density of a net for microcontrollers: mean absolute error on the test split.

Beside it, the same backbone with two other heads: a regression of the number, and a detector whose boxes are counted.
The mean is the error of always predicting the mean number.

    python benchmarks/counting.py --seeds 5 --heads counting    # without the other heads

Fails where the mean over the seeds is above `THRESHOLD`.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import argparse
import sys
import time

import keras
import numpy as np

from pocketzoo import training, zoo
from pocketzoo.tasks.object_targets import count_objects

THRESHOLD = 0.25
MODEL = "centernet_mobilenet_v1_025"
SOURCES = {"counting": "counting", "regression": "count", "detection": "detection"}
"""Targets of digit-scenes by the task of the head."""
SURE = 0.5
"""Score from which a box counts."""
RECIPE = training.Recipe(epochs=20, batch_size=16, optimizer={"name": "adamw", "lr": 3e-3}, augmentation=["color"])


def main() -> None:
    """Train and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=RECIPE.epochs)
    parser.add_argument("--heads", nargs="*", default=list(SOURCES), choices=SOURCES)
    options = parser.parse_args()
    counts = count_objects(training.load_data("digit-scenes:counting").test.labels, 1)
    print(f"mean: {np.abs(counts - counts.mean()).mean():.3f}")
    for head in options.heads:
        errors = [measure(head, RECIPE.changed(epochs=options.epochs, seed=seed)) for seed in range(options.seeds)]
        print(f"{head}: mean absolute error {np.mean(errors):.3f}, highest {max(errors):.3f}", flush=True)
        if head == "counting" and np.mean(errors) > THRESHOLD:
            sys.exit(f"above the threshold of {THRESHOLD}")


def measure(head: str, recipe: training.Recipe) -> float:
    """Return the mean absolute error of the number of digits, and print it."""
    data = training.load_data(f"digit-scenes:{SOURCES[head]}")
    keras.utils.set_random_seed(recipe.seed)
    model = zoo.create_model(MODEL, head=head, labels=data.labels, input_shape=data.image_shape)
    start = time.perf_counter()
    training.fit(model, data, recipe, verbose=False)
    minutes = (time.perf_counter() - start) / 60
    error = _error_of_boxes(model, data.test) if head == "detection" else training.evaluate(model, data).mae
    print(
        f"{head}, seed {recipe.seed}: {error:.3f}, {model.count_params():,} parameters, {minutes:.1f} minutes",
        flush=True,
    )
    return error


def _error_of_boxes(model: keras.Model, test: training.ImageSplit) -> float:
    images, boxes = test.arrays()
    candidates = model.predict(images.astype("float32"), verbose=0)
    found = (candidates[..., 4:] >= SURE).sum(axis=(1, 2))
    return float(np.abs(found - count_objects(boxes, len(test.names)).sum(axis=1)).mean())


if __name__ == "__main__":
    main()
