"""Overhead of composite layers, compared with the same models built of plain Keras layers.

    python benchmarks/composite_layers.py            # threshold: ratios of at most 1.03

Each round times both models one after the other, so that a slower machine affects both; the result is the ratio of the
medians.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import statistics
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from pocketzoo import zoo

SECONDS, BATCH = 30, 64
THRESHOLD = 1.03


def plain_lenet5() -> keras.Model:
    image = keras.Input((32, 32, 1))
    x = layers.Rescaling(1 / 127.5, -1)(image)
    x = layers.Conv2D(6, 5, activation="tanh")(x)
    x = layers.AveragePooling2D(2)(x)
    x = layers.Conv2D(16, 5, activation="tanh")(x)
    x = layers.AveragePooling2D(2)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(120, activation="tanh")(x)
    x = layers.Dense(84, activation="tanh")(x)
    return keras.Model(image, layers.Dense(10, activation="softmax")(x))


def plain_resnet20() -> keras.Model:
    def conv(x, filters, kernel_size, strides=1):
        x = layers.Conv2D(filters, kernel_size, strides=strides, padding="same", use_bias=False)(x)
        return layers.BatchNormalization()(x)

    image = keras.Input((32, 32, 3))
    x = layers.ReLU()(conv(layers.Rescaling(1 / 127.5, -1)(image), 16, 3))
    for filters in (16, 32, 64):
        for block in range(3):
            strides = 2 if filters > 16 and block == 0 else 1
            shortcut = conv(x, filters, 1, strides) if strides == 2 else x
            residual = conv(layers.ReLU()(conv(x, filters, 3, strides)), filters, 3)
            x = layers.ReLU()(layers.Add()([residual, shortcut]))
    return keras.Model(image, layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x)))


def forward(model: keras.Model) -> Callable[[], object]:
    images = tf.constant(_images(model))
    graph = tf.function(lambda x: model(x, training=False))
    return lambda: graph(images).numpy()


def training_step(model: keras.Model) -> Callable[[], object]:
    model.compile(keras.optimizers.SGD(1e-3), "sparse_categorical_crossentropy")
    images, labels = _images(model), np.arange(BATCH) % 10
    return lambda: model.train_on_batch(images, labels)


def _images(model: keras.Model) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (BATCH, *model.input_shape[1:])).astype("float32")


def medians(first: Callable[[], object], second: Callable[[], object]) -> tuple[float, float]:
    """Return the median milliseconds of both, timed in turn."""
    times: tuple[list[float], list[float]] = ([], [])
    order = [(first, times[0]), (second, times[1])]
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        for call, kept in order:
            start = time.perf_counter()
            call()
            kept.append((time.perf_counter() - start) * 1000)
        order.reverse()  # so that neither always finds the other's cache
    warm_up = len(times[0]) // 10
    return statistics.median(times[0][warm_up:]), statistics.median(times[1][warm_up:])


def main() -> None:
    print(f"batch {BATCH}, medians over {SECONDS} s in turn, milliseconds")
    print(f"{'model':10} {'what':14} {'ours':>8} {'plain':>8} {'ratio':>7}   threshold {THRESHOLD}")
    pairs = {
        "lenet5": (lambda: zoo.create_model("lenet5"), plain_lenet5),
        "resnet20": (lambda: zoo.create_model("resnet20", shortcut="projection"), plain_resnet20),
    }
    for name, (ours, plain) in pairs.items():
        for what, make in {"forward": forward, "training step": training_step}.items():
            a, b = medians(make(ours()), make(plain()))
            verdict = "ok" if a / b <= THRESHOLD else "over"
            print(f"{name:10} {what:14} {a:8.3f} {b:8.3f} {a / b:7.3f}   {verdict}")


if __name__ == "__main__":
    main()
