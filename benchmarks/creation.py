"""Duration of creating a model, compared with `keras.applications`.

    python benchmarks/creation.py                    # threshold: ratios of at most 1

Each round creates both models one after the other; the result is the ratio of the medians.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import gc
import statistics
import time
from collections.abc import Callable

import keras

from pocketzoo import zoo

ROUNDS = 7
THRESHOLD = 1.0
PEERS = {
    "vgg16": keras.applications.VGG16,
    "resnet50v1": keras.applications.ResNet50,
    "resnet50v2": keras.applications.ResNet50V2,
    "inception_v3": keras.applications.InceptionV3,
    "xception": keras.applications.Xception,
    "densenet121": keras.applications.DenseNet121,
    "mobilenet_v2": keras.applications.MobileNetV2,
    "mobilenet_v3_large": keras.applications.MobileNetV3Large,
    "efficientnet_b0": keras.applications.EfficientNetB0,
}


def seconds(make: Callable[[], keras.Model]) -> float:
    keras.backend.clear_session()
    gc.collect()
    start = time.perf_counter()
    make()
    return time.perf_counter() - start


def main() -> None:
    print(f"medians of {ROUNDS} rounds in turn, seconds")
    print(f"{'model':20} {'ours':>7} {'Keras':>7} {'ratio':>7}   threshold {THRESHOLD}")
    for name, peer in PEERS.items():
        makers = [lambda name=name: zoo.create_model(name), lambda peer=peer: peer(weights=None)]
        times: list[list[float]] = [[], []]
        order = list(zip(makers, times, strict=True))
        for _ in range(ROUNDS + 1):
            for maker, kept in order:
                kept.append(seconds(maker))
            order.reverse()  # so that neither always comes first
        ours, theirs = (statistics.median(kept[1:]) for kept in times)  # the first round warms up
        verdict = "ok" if ours / theirs <= THRESHOLD else "over"
        print(f"{name:20} {ours:7.3f} {theirs:7.3f} {ours / theirs:7.3f}   {verdict}")


if __name__ == "__main__":
    main()
