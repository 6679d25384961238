"""Duration of a training step with a recipe, compared with `keras.applications` and plain `fit`.

    python benchmarks/training_step.py               # threshold: ratios of at most 1.03; 10 minutes on two cores
    python benchmarks/training_step.py mobilenet_v2  # one model
    python benchmarks/training_step.py --xla         # also compiled with XLA; an hour

Each round trains every model for some steps on the same batch with the same optimizer; the result is the ratio of the
medians. `precision: auto` chooses bfloat16 where it takes at most 0.95 of float32's time.

XLA is off on a CPU by default, as Keras decides. On two cores mobilenet_v2 took 15.8 times as long with it.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import statistics
import sys
import time

import keras
import numpy as np
import tensorflow as tf

from pocketzoo import training, zoo
from pocketzoo.training.engine.compilation import compile_network
from pocketzoo.training.engine.layer_settings import training_settings
from pocketzoo.training.engine.optimizers import ParameterGroup

ROUNDS, STEPS = 7, 2
BATCH, SIDE, CLASSES = 8, 160, 100
THRESHOLD = 1.03
PEERS = {
    "resnet50v1": (keras.applications.ResNet50, keras.applications.resnet.preprocess_input),
    "mobilenet_v2": (keras.applications.MobileNetV2, keras.applications.mobilenet_v2.preprocess_input),
}
SHAPE = (SIDE, SIDE, 3)
RECIPE = training.Recipe(optimizer={"name": "nesterov", "lr": 0.01, "weight_decay": 0.005}, batch_size=BATCH)
OURS = {"float32": {}, "bfloat16": {"precision": "mixed_bfloat16"}}


def ours(name: str, **changes) -> keras.Model:
    recipe = RECIPE.changed(**changes)
    model = zoo.create_model(name, classes=CLASSES, input_shape=SHAPE)
    with training_settings(model, recipe):
        compile_network(model, model, recipe, STEPS, [ParameterGroup(recipe.optimizer.lr, model.trainable_variables)])
        model.fit(batches(), steps_per_epoch=1, verbose=0)  # traced in the recipe's precision, which stays
        traced = model.train_function
    model.train_function = traced
    return model


def theirs(make) -> keras.Model:
    model = make(weights=None, classes=CLASSES, input_shape=SHAPE)
    rate = keras.optimizers.schedules.CosineDecay(0.0, 1000, warmup_target=0.01, warmup_steps=100)
    optimizer = keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=0.005)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def batches(preprocess=lambda pixels: pixels) -> tf.data.Dataset:
    random = np.random.default_rng(0)
    pixels = preprocess(random.integers(0, 256, (BATCH, *SHAPE)).astype("float32"))
    return tf.data.Dataset.from_tensors((pixels, random.integers(0, CLASSES, BATCH))).repeat()


def seconds(model: keras.Model, data: tf.data.Dataset) -> float:
    start = time.perf_counter()
    model.fit(data, steps_per_epoch=STEPS, verbose=0)
    return (time.perf_counter() - start) / STEPS


def main() -> None:
    print(
        f"medians of {ROUNDS} rounds of {STEPS} steps in turn, {BATCH} images of {SIDE} pixels, milliseconds per step"
    )
    names = [name for name in sys.argv[1:] if name != "--xla"]
    variants = OURS | ({"XLA": {"xla": True}} if "--xla" in sys.argv else {})
    for name in names or PEERS:
        make, preprocess = PEERS[name]
        runs = [("Keras", theirs(make), batches(preprocess))]
        runs += [(f"ours, {variant}", ours(name, **changes), batches()) for variant, changes in variants.items()]
        times: dict[str, list[float]] = {label: [] for label, *_ in runs}
        for _ in range(ROUNDS + 1):
            for label, model, data in runs:
                times[label].append(seconds(model, data))
            runs.reverse()  # so that the order does not always favor the same one
        medians = {label: statistics.median(kept[1:]) for label, kept in times.items()}  # the first round warms up
        for label, median in medians.items():
            ratio = median / medians["Keras"]
            verdict = (
                f"   threshold {THRESHOLD}: {'ok' if ratio <= THRESHOLD else 'over'}"
                if label == "ours, float32"
                else ""
            )
            print(f"{name:14} {label:15} {1000 * median:7.0f} {ratio:7.3f}{verdict}", flush=True)


if __name__ == "__main__":
    main()
