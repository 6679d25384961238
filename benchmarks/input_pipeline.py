"""How many images a second reach training, and does it wait for them? Ours against Keras' own, in turn, in one run.

    python benchmarks/input_pipeline.py              # the bar: 1.5 times as many with the policy `standard`; 5 minutes
    python benchmarks/input_pipeline.py --waiting    # the share of an epoch that a training step waits; 10 minutes

A folder of generated photos, JPEGs of random parts of scikit-learn's two sample photos, is brought to 224 pixels, in
batches of 32, shuffled and augmented. The other side is `keras.utils.image_dataset_from_directory`, Keras' layers of
the same name in a parallel map, and prefetch; a crop is a zoom and a shift there, and what makes photos smaller does
not average over the pixels that it leaves out. Each round is an epoch of either side; figures are medians.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import argparse
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from PIL import Image
from sklearn.datasets import load_sample_images

from pocketzoo import training, zoo
from pocketzoo.training.data.files import Paths
from pocketzoo.training.data.images import FileImages
from pocketzoo.training.data.pipeline import training_batches

COUNT, SIDE, BATCH, ROUNDS = 1000, 224, 32, 5
BAR = 1.5
SIZES = ((500, 375), (1000, 750))
PEERS = {
    "none": [],
    "light": [
        layers.RandomTranslation(0.08, 0.08, fill_mode="nearest"),
        layers.RandomRotation(10 / 360, fill_mode="nearest"),
        layers.RandomZoom(0.1, fill_mode="nearest"),
    ],
    "standard": [
        layers.RandomFlip("horizontal"),
        layers.RandomZoom((-0.3, 0), (-0.3, 0), fill_mode="nearest"),
        layers.RandomTranslation(0.15, 0.15, fill_mode="nearest"),
        layers.RandomColorJitter(brightness_factor=0.2, contrast_factor=0.2, saturation_factor=0.2),
    ],
}
MODELS = ("mobilenet_v2", "resnet50")
STEPS, WAITING_ROUNDS = 6, 3


def write_photos(folder: Path, size: tuple[int, int]) -> training.ImageSplit:
    """Two classes, one of each sample photo, as our side reads them."""
    random = np.random.default_rng(0)
    for name, photo in zip(("china", "flower"), load_sample_images().images, strict=True):
        (folder / name).mkdir(parents=True)
        for number in range(COUNT // 2):
            height = random.integers(200, photo.shape[0] + 1)
            width = min(height * size[0] // size[1], photo.shape[1])
            top, left = random.integers(photo.shape[0] - height + 1), random.integers(photo.shape[1] - width + 1)
            part = Image.fromarray(photo[top : top + height, left : left + width])
            part.resize(size, Image.Resampling.BICUBIC).save(folder / name / f"{number}.jpg", quality=90)
    paths = sorted(folder.glob("*/*.jpg"))
    labels = np.array([path.parent.name == "flower" for path in paths], "int32")
    return training.ImageSplit(FileImages(Paths(paths), (SIDE, SIDE, 3)), labels)


def ours(split: training.ImageSplit, policy: str) -> tf.data.Dataset:
    return training_batches(split, training.Recipe(epochs=1, batch_size=BATCH, augmentation=policy))


def theirs(folder: Path, policy: str) -> tf.data.Dataset:
    batches = keras.utils.image_dataset_from_directory(folder, image_size=(SIDE, SIDE), batch_size=BATCH, verbose=False)
    if PEERS[policy]:
        augment = keras.Sequential(PEERS[policy])
        batches = batches.map(lambda images, labels: (augment(images, training=True), labels), tf.data.AUTOTUNE)
    return batches.prefetch(tf.data.AUTOTUNE)


def in_turn(sides: list[Callable[[], None]], rounds: int) -> list[float]:
    """Median seconds of each side."""
    timed: list[tuple[Callable[[], None], list[float]]] = [(side, []) for side in sides]
    for number in range(rounds + 1):
        for side, seconds in timed[:: 1 if number % 2 else -1]:  # so that neither always follows the other
            start = time.perf_counter()
            side()
            seconds.append(time.perf_counter() - start)
    return [statistics.median(seconds[1:]) for _, seconds in timed]  # the first round warms up


def speed(root: Path) -> None:
    print(f"medians of {ROUNDS} epochs in turn, images/s of {COUNT} JPEGs to {SIDE} pixels in batches of {BATCH}")
    print(f"{'photos':10} {'policy':10} {'ours':>7} {'Keras':>7} {'ratio':>7}   bar {BAR} for standard")
    for size in SIZES:
        folder = root / f"{size[0]}x{size[1]}"
        split = write_photos(folder, size)
        for policy in PEERS:
            streams = [ours(split, policy), theirs(folder, policy)]
            mine, other = in_turn([partial(deque, stream, maxlen=0) for stream in streams], ROUNDS)
            verdict = "" if policy != "standard" else "ok" if other / mine >= BAR else "under"
            figures = f"{COUNT / mine:7.0f} {COUNT / other:7.0f} {other / mine:7.2f}"
            print(f"{folder.name:10} {policy:10} {figures}   {verdict}", flush=True)


def waiting(root: Path) -> None:
    split = write_photos(root / "photos", SIZES[0])
    print(f"medians of {WAITING_ROUNDS} in turn, seconds of {STEPS} training steps of {BATCH} photos of 500x375")
    print(f"{'net':14} {'from files':>10} {'one batch':>10} {'waiting':>8}")
    for name in MODELS:
        model = zoo.create_model(name, classes=2, input_shape=(SIDE, SIDE, 3))
        model.compile("sgd", "sparse_categorical_crossentropy")
        stream = ours(split, "standard")
        repeated = tf.data.Dataset.from_tensors(next(iter(stream))).repeat()
        fits = [
            partial(model.fit, batches, steps_per_epoch=STEPS, shuffle=False, verbose=0)
            for batches in (stream, repeated)
        ]
        streamed, still = in_turn(fits, WAITING_ROUNDS)
        print(f"{name:14} {streamed:10.1f} {still:10.1f} {1 - still / streamed:8.1%}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--waiting", action="store_true", help="the share of an epoch that a training step waits")
    with tempfile.TemporaryDirectory() as folder:
        (waiting if parser.parse_args().waiting else speed)(Path(folder))


if __name__ == "__main__":
    main()
