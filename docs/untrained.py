"""Nets that answer right without weights to be downloaded, and the pictures that they tell apart."""

from collections.abc import Sequence

import keras
import numpy as np

from pocketzoo import zoo
from pocketzoo.training.model_outputs import tasks_of

FITTED, CALIBRATING, EVALUATING = 300, 32, 50
"""Images."""
NORMED = 8
"""Images that statistics are taken of; all that a net computes of them is in memory at once."""
KINDS = {"classification": 10, "segmentation": 3}
"""Of images, or of places in them."""
CELLS, CHANCE = 4, 0.25
"""Squares along a side of an image; share of what is drawn by chance."""
PLACES = 4000
"""Of maps, that a last layer is fitted to."""
SHARPNESS = 12.0
"""Logit of the right class, above that of the others, that a last layer is fitted to."""
RIDGE = 0.1
"""Of the mean square of the features."""
ENOUGH = 0.95
"""Share of places that a solved layer must be right on; below it, a net is trained."""
CROP, EPOCHS, RATE = 64, 3, 0.003
"""Side in pixels, passes over the images and learning rate of that."""

Images = dict[str, tuple[np.ndarray, np.ndarray]]
"""For fitting, for calibration and for evaluation, each with what is right."""


def some_images(model: keras.Model) -> Images:
    """Pictures of coloured squares in the size that `model` takes, which the simplest net can tell apart.

    For classification each class has its squares, mixed with others by chance; for segmentation each class has its
    colour, and each square its class.
    """
    *sides, channels = model.input_shape[1:]
    task = tasks_of(model)
    classes = min(KINDS[task], model.output_shape[-1])
    draw = coloured_places if task == "segmentation" else coloured_kinds
    counts = {"fitting": FITTED, "calibration": CALIBRATING, "evaluation": EVALUATING}
    drawn = {
        name: draw(np.random.default_rng(seed), count, classes, channels)
        for seed, (name, count) in enumerate(counts.items())
    }
    places = model.output_shape[1:-1]
    return {
        name: (enlarged(squares, sides).astype("uint8"), middle(enlarged(labels, sides), places) if places else labels)
        for name, (squares, labels) in drawn.items()
    }


def coloured_kinds(
    random: np.random.Generator, count: int, classes: int, channels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Squares `(count, CELLS, CELLS, channels)` in 0..255, and the class of each image."""
    kinds = np.random.default_rng(100).uniform(0, 255, (classes, CELLS, CELLS, channels))
    labels = random.integers(0, classes, count)
    return mixed(random, kinds[labels]), labels


def coloured_places(
    random: np.random.Generator, count: int, classes: int, channels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Squares `(count, CELLS, CELLS, channels)` in 0..255, and the class of each."""
    kinds = np.linspace(0, 255, classes)[:, None] * np.ones(channels)
    kinds = np.random.default_rng(100).permuted(kinds, axis=0)
    labels = random.integers(0, classes, (count, CELLS, CELLS))
    return mixed(random, kinds[labels]), labels


def mixed(random: np.random.Generator, squares: np.ndarray) -> np.ndarray:
    """Each with a share of another colour."""
    return (1 - CHANCE) * squares + CHANCE * random.uniform(0, 255, squares.shape)


def enlarged(squares: np.ndarray, sides: Sequence[int]) -> np.ndarray:
    """To images of that height and width."""
    rows, columns = (np.arange(side) * CELLS // side for side in sides)
    return squares[:, rows][:, :, columns]


def middle(labels: np.ndarray, sides: Sequence[int]) -> np.ndarray:
    """Of maps; convolutions without padding answer for no more of an image."""
    top, left = ((have - wanted) // 2 for have, wanted in zip(labels.shape[1:], sides, strict=True))
    return labels[:, top : top + sides[0], left : left + sides[1]]


def as_if_trained(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> None:
    """Makes a net of random weights answer right: its last layer is solved for what the others make of images.

    A net that was never trained answers nearly the same to everything, so that whether an artifact agrees with it says
    nothing. Random features and a linear reading of them (Huang et al. 2006) take no training. Behind BatchNorm they
    are chaotic, though: a rounding grows by about half in each layer (Yang et al. 2019, arXiv:1902.08129), which it
    does not in trained nets. Offsets of 1, with which an activation passes most values, keep it small.

    The last layer of a U-Net may read as few as 16 maps, in which places of one class need not lie apart from those of
    others; then the net is trained for a minute, on parts of the images.
    """
    flat = zoo.flatten_model(model)
    for norm in norms_of(flat):
        if norm.center:
            norm.beta.assign(np.ones(norm.beta.shape))
    set_statistics(flat, images[:NORMED])
    share = solve_last_layer(flat, images, labels)
    if labels.shape == images.shape[:-1] and share < ENOUGH:
        train(flat, images, labels)
        set_statistics(flat, images[:NORMED])


def solve_last_layer(flat: keras.Model, images: np.ndarray, labels: np.ndarray) -> float:
    """Gives the last layer the weights of a ridge regression, and tells on what share of these places it is right."""
    last = [layer for layer in flat.layers if isinstance(layer, keras.layers.Dense | keras.layers.Conv2D)][-1]
    trunk = keras.Model(flat.input, last._inbound_nodes[-1].input_tensors[0])  # the one of the flat model
    features, right = rows_of(trunk.predict(images, batch_size=16, verbose=0), labels)
    classes = last.kernel.shape[-1]
    wanted = SHARPNESS * (np.eye(classes)[right] - 1 / classes)
    centre = features.mean(axis=0)
    centred = features - centre
    gram = centred @ centred.T
    gram += RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    kernel = centred.T @ np.linalg.solve(gram, wanted)
    last.kernel.assign(kernel.reshape(last.kernel.shape))
    if last.bias is not None:
        last.bias.assign(-centre @ kernel)
    return float(np.mean((centred @ kernel).argmax(axis=1) == right))


def train(flat: keras.Model, images: np.ndarray, labels: np.ndarray) -> None:
    """Trains all layers on a part of each image, for a net that takes any size."""
    sides = np.array(images.shape[1:3])
    side = min(CROP, *sides)
    corners = np.random.default_rng(0).integers(0, sides - side, (len(images), 2), endpoint=True)
    parts = [(slice(top, top + side), slice(left, left + side)) for top, left in corners]
    cropped = keras.Input((side, side, images.shape[-1]))
    net = keras.models.clone_model(flat, input_tensors=cropped, clone_function=lambda layer: layer)
    net.compile(keras.optimizers.Adam(RATE), "sparse_categorical_crossentropy")
    inside = [np.stack([array[part] for array, part in zip(of, parts, strict=True)]) for of in (images, labels)]
    net.fit(*inside, batch_size=16, epochs=EPOCHS, verbose=0)


def rows_of(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One row an image, or a number of places of maps that have an answer each, and the class of each row."""
    features = features.astype("float64")
    if features.ndim == 2:
        return features, labels
    if labels.ndim == 1:  # scores of all places are averaged
        return features.mean(axis=(1, 2)), labels
    strides = np.array(labels.shape[1:]) // features.shape[1:3]
    places = labels[:, :: strides[0], :: strides[1]][:, : features.shape[1], : features.shape[2]].ravel()
    features = features.reshape(-1, features.shape[-1])
    chosen = np.random.default_rng(0).permutation(len(places))[:PLACES]
    return features[chosen], places[chosen]


def norms_of(flat: keras.Model) -> list[keras.layers.BatchNormalization]:
    """All of a model."""
    return [layer for layer in flat.layers if isinstance(layer, keras.layers.BatchNormalization)]


def set_statistics(flat: keras.Model, images: np.ndarray) -> None:
    """Gives every BatchNorm the statistics of these images."""
    norms = norms_of(flat)
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    flat(images.astype("float32"), training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
