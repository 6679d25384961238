"""Outermost points of digits found by a small net: PCK on the test split, next to always telling the mean positions.

    python benchmarks/keypoints.py --seeds 5

Fails where the mean PCK is below `THRESHOLD`.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import argparse
import sys
import time

import keras
import numpy as np

from pocketzoo import training, zoo
from pocketzoo.tasks import get_task

SIDE = 32
"""Height and width of the images in pixels."""
THRESHOLD = 0.9
RECIPE = training.Recipe(epochs=8, batch_size=32, optimizer={"name": "adamw", "lr": 2e-3}, augmentation="none")
MODEL = "unet_same"
ARGUMENTS = {"widths": (16, 32, 64), "dropout": 0.0}
"""The U-Net's map is as fine as the image; positions on the map of a classifier's backbone are coarser."""


def main() -> None:
    """Train and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=RECIPE.epochs)
    options = parser.parse_args()
    data = training.load_data("digit-points", image_size=SIDE)
    print(f"mean positions: PCK {pck_of_means(data):.4f}")
    found = [measure(data, RECIPE.changed(epochs=options.epochs, seed=seed)) for seed in range(options.seeds)]
    print(f"{MODEL}: mean PCK {np.mean(found):.4f}, lowest {min(found):.4f}, threshold {THRESHOLD}")
    sys.exit(0 if np.mean(found) >= THRESHOLD else "below the threshold")


def pck_of_means(data: training.ImageData) -> float:
    """Return the PCK of the mean position of each point among the training images."""
    accumulator = get_task("keypoints").accumulator(data.labels)
    targets = data.test.labels
    mean = data.train.labels.mean(axis=0)
    mean[:, 2] = 1.0
    accumulator.add(targets, np.broadcast_to(mean, targets.shape))
    return float(accumulator.evaluation().pck)


def measure(data: training.ImageData, recipe: training.Recipe) -> float:
    """Return the PCK of a net on the test split, and print all figures."""
    keras.utils.set_random_seed(recipe.seed)
    model = zoo.create_model(MODEL, head="keypoints", labels=data.labels, input_shape=data.image_shape, **ARGUMENTS)
    start, cpu = time.perf_counter(), time.process_time()
    training.fit(model, data, recipe, verbose=False)
    minutes, processor = (time.perf_counter() - start) / 60, (time.process_time() - cpu) / 60
    evaluation = training.evaluate(model, data)
    figures = ", ".join(f"{heading} {value:.4f}" for heading, value in evaluation.summary.items())
    low, high = evaluation.intervals["pck"]
    print(f"{MODEL}, seed {recipe.seed}: {figures}; 95 % interval of PCK {low:.4f} to {high:.4f}", flush=True)
    print(f"{MODEL}, seed {recipe.seed}: {minutes:.1f} minutes, {processor:.1f} of processor time", flush=True)
    return float(evaluation.pck)


if __name__ == "__main__":
    main()
