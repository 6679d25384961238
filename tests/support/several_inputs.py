"""Models with several inputs, and data whose classes depend on all of them."""

import keras
import numpy as np
from keras import layers

from pocketzoo import training

COUNT = 160
RECIPE = training.Recipe(epochs=10, batch_size=16, augmentation="none", optimizer={"lr": 1e-2})
SHORT = RECIPE.changed(epochs=1, optimizer={"lr": 1e-3})
TASKS = {"place": "classification", "amount": "regression"}


def photo_net(name="photo_net"):
    """A photo and two numbers, in a list; the class depends on both."""
    keras.utils.set_random_seed(0)
    photo, about = keras.Input((16, 16, 3), name="photo"), keras.Input((2,), name="about")
    x = layers.Conv2D(8, 3, strides=2, activation="relu")(layers.Rescaling(1 / 255)(photo))
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.8)(layers.Conv2D(8, 3, strides=2)(x)))
    x = layers.Concatenate()([layers.Flatten()(x), layers.Dense(8, "relu")(about)])
    return keras.Model([photo, about], layers.Dense(4, name="classes")(x), name=name)


def pair_net():
    """Two photos in a dict, not in the order of the alphabet, in the range 0..1; two outputs in a list."""
    keras.utils.set_random_seed(0)
    pair = {name: keras.Input((16, 16, 3), name=name) for name in ("before", "after")}
    first, second = (layers.Conv2D(8, 3, strides=2, activation="relu") for _ in range(2))
    difference = layers.Subtract()([second(first(pair["after"])), second(first(pair["before"]))])
    features = layers.Flatten(name="features")(difference)
    outputs = [layers.Dense(4, name="place")(features), layers.Dense(1, name="amount")(features)]
    return keras.Model(pair, outputs, name="pair_net")


def photo_rows():
    """Inputs by name, and classes: which half is bright, and the sign of the first number."""
    random, classes = np.random.default_rng(0), np.arange(COUNT) % 4
    images = random.integers(0, 60, (COUNT, 16, 16, 3)).astype("uint8")
    for image, half in zip(images, classes // 2, strict=True):
        image[half * 8 : half * 8 + 8] += 150
    about = np.stack([np.where(classes % 2, 1.0, -1.0), random.normal(size=COUNT)], axis=1)
    return {"about": about, "photo": images}, classes


def pair_rows():
    """Pairs of images, and the quadrant that becomes brighter in the second."""
    random, classes = np.random.default_rng(0), np.arange(COUNT) % 4
    before = random.integers(0, 100, (COUNT, 16, 16, 3)).astype("uint8")
    after = before.copy()
    for image, (row, column) in zip(after, (divmod(q, 2) for q in classes), strict=True):
        image[row * 8 : row * 8 + 8, column * 8 : column * 8 + 8] += 150
    return {"before": before, "after": after}, {"place": classes, "amount": (classes / 4).astype("float32")}
