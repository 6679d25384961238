"""Writes docs/pictures/tasks/: for each task, what a small model that is trained for minutes makes of test images.

python docs/make_task_pictures.py [TASK ...]
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import argparse
import time
from pathlib import Path

import keras
import numpy as np
from task_examples import EXAMPLES, trained

from pocketzoo import training
from pocketzoo.core.pictures import save_figure
from pocketzoo.tasks import get_task

PICTURES = Path(__file__).with_name("pictures") / "tasks"
SHOWN = 6


def main() -> None:
    """Draw the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", default=list(EXAMPLES), metavar="TASK")
    PICTURES.mkdir(exist_ok=True)
    for name in parser.parse_args().tasks:
        start = time.perf_counter()
        draw(name)
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)


def draw(name: str) -> None:
    """Train the example of a task, print its evaluation, and draw its outputs for some test images."""
    task, (model, data) = get_task(name), trained(name)
    print(name, training.evaluate(model, data.test))
    rows = np.linspace(0, len(data.test) - 1, SHOWN).astype(int)
    rows = with_nearest(rows[0], model, data.test) if task.compares_images else rows
    images, targets = data.test.images.take(rows), data.test.labels[rows]
    outputs = model.predict(images, verbose=0)
    figure = task.plot_examples(images, targets, outputs, data.labels, [data.test.name_of(row) for row in rows])
    save_figure(figure, PICTURES / f"{name}.png")


def with_nearest(row: int, model: keras.Model, split: training.ImageSplit) -> np.ndarray:
    """The row of an image, and those of the images nearest to it."""
    vectors = model.predict(split.images.take(np.arange(len(split))), verbose=0)
    return np.argsort(-vectors @ vectors[row])[:SHOWN]  # the nearest is the image itself


if __name__ == "__main__":
    main()
