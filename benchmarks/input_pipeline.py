"""Throughput of the input pipeline, compared with Keras' own, and the time that training waits for it.

    python benchmarks/input_pipeline.py              # threshold: 1.5 times the throughput with `standard`; 6 minutes
    python benchmarks/input_pipeline.py --waiting    # the share of its time that training waits for a batch; 5 minutes

A folder of generated photos, JPEGs of random parts of scikit-learn's two sample photos, is resized to 224 pixels, in
batches of 32, shuffled and augmented. The baseline is `keras.utils.image_dataset_from_directory` with the corresponding
Keras layers in a parallel map, and prefetch. Its crop is a zoom and a shift, and its resizing has no antialiasing. Each
round is one epoch of each pipeline, in turn; results are medians. `first` is an epoch that decodes its files; `later`
epochs read the cached pixels of the first, which is the default of a run. Keras decodes in every epoch.
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
THRESHOLD = 1.5
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
STEPS = 20


def write_photos(folder: Path, size: tuple[int, int]) -> training.ImageSplit:
    """Write two classes of photos, one per sample photo; return them as a split."""
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


def ours(split: training.ImageSplit, policy: str, **data) -> tf.data.Dataset:
    return training_batches(split, training.Recipe(epochs=1, batch_size=BATCH, augmentation=policy, data=data))


def theirs(folder: Path, policy: str) -> tf.data.Dataset:
    batches = keras.utils.image_dataset_from_directory(folder, image_size=(SIDE, SIDE), batch_size=BATCH, verbose=False)
    if PEERS[policy]:
        augment = keras.Sequential(PEERS[policy])
        batches = batches.map(lambda images, labels: (augment(images, training=True), labels), tf.data.AUTOTUNE)
    return batches.prefetch(tf.data.AUTOTUNE)


def in_turn(sides: list[Callable[[], None]], rounds: int) -> list[float]:
    """Return the median seconds of each function, timed in turn."""
    timed: list[tuple[Callable[[], None], list[float]]] = [(side, []) for side in sides]
    for number in range(rounds + 1):
        for side, seconds in timed[:: 1 if number % 2 else -1]:  # so that neither always comes first
            start = time.perf_counter()
            side()
            seconds.append(time.perf_counter() - start)
    return [statistics.median(seconds[1:]) for _, seconds in timed]  # the first round warms up


def speed(root: Path) -> None:
    print(f"medians of {ROUNDS} epochs in turn, images/s of {COUNT} JPEGs to {SIDE} pixels in batches of {BATCH}")
    columns = f"{'photos':10} {'policy':10} {'Keras':>7} {'first':>7} {'ratio':>6} {'later':>7} {'ratio':>6}"
    print(f"{columns}   threshold {THRESHOLD}")
    for size in SIZES:
        folder = root / f"{size[0]}x{size[1]}"
        split = write_photos(folder, size)
        for policy in PEERS:
            streams = [theirs(folder, policy), ours(split, policy, cache=False), ours(split, policy)]
            other, first, later = in_turn([partial(deque, stream, maxlen=0) for stream in streams], ROUNDS)
            figures = " ".join(f"{COUNT / mine:7.0f} {other / mine:6.2f}" for mine in (first, later))
            met = [name for name, mine in (("first", first), ("later", later)) if other / mine >= THRESHOLD]
            verdict = f"met: {', '.join(met) or 'none'}" if policy == "standard" else ""
            print(f"{folder.name:10} {policy:10} {COUNT / other:7.0f} {figures}   {verdict}", flush=True)


def waiting(root: Path) -> None:
    split = write_photos(root / "photos", SIZES[0])
    print(f"{STEPS} training steps of {BATCH} photos of {SIZES[0][0]}x{SIZES[0][1]}, augmented by `standard`")
    print(f"{'model':14} {'images/s':>8} {'waiting':>8}")
    for name in MODELS:
        model = zoo.create_model(name, classes=2, input_shape=(SIDE, SIDE, 3))
        model.compile("sgd", "sparse_categorical_crossentropy")
        batches = iter(ours(split, "standard"))
        model.train_on_batch(*next(batches))  # traces the step and fills the buffers
        start, waited = time.perf_counter(), 0.0
        for _ in range(STEPS):
            requested = time.perf_counter()
            batch = next(batches)
            waited += time.perf_counter() - requested
            model.train_on_batch(*batch)
        seconds = time.perf_counter() - start
        print(f"{name:14} {STEPS * BATCH / seconds:8.1f} {waited / seconds:8.2%}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--waiting", action="store_true", help="the share of training's time that it waits for a batch")
    with tempfile.TemporaryDirectory() as folder:
        (waiting if parser.parse_args().waiting else speed)(Path(folder))


if __name__ == "__main__":
    main()
