"""Untrained models with accurate outputs, and the synthetic images that they classify; nothing is downloaded."""

from collections.abc import Sequence

import keras
import numpy as np

from pocketzoo import zoo
from pocketzoo.core.flat_graph import FlatGraph
from pocketzoo.export.conversion.export_graph import model_metadata
from pocketzoo.tasks import get_task

FITTING, CALIBRATION, EVALUATION = 300, 32, 50
"""Numbers of images."""
STATISTICS_IMAGES = 8
"""Images for the statistics of BatchNorm; all activations for them are in memory at once."""
IMAGE_CLASSES, PIXEL_CLASSES = 10, 3
"""Largest numbers of classes of images, and of pixels."""
CELLS, NOISE = 4, 0.25
"""Squares along each side of an image; share of a color that is random."""
FITTED_PIXELS = 4000
"""Pixels of maps to which a last layer is fitted."""
MARGIN = 12.0
"""Logit of the true class, above that of the others, to which a last layer is fitted."""
RIDGE = 0.1
"""L2 penalty, relative to the mean square of the features."""
MIN_ACCURACY = 0.95
"""Share of pixels that a fitted layer must classify correctly; below it, the model is trained."""
CROP, EPOCHS, LEARNING_RATE = 64, 3, 0.003
"""Side of the training images in pixels, epochs and learning rate of that training."""

Images = dict[str, tuple[np.ndarray, np.ndarray]]
"""Images and labels for `fitting`, `calibration` and `evaluation`."""


def synthetic_images(model: keras.Model) -> Images:
    """Images of colored squares in the input size of `model`, which the simplest network can classify.

    For classification, each class has its pattern of squares; for segmentation, each class has its color, and each
    square has its class.
    """
    *sides, channels = model.input_shape[1:]
    segments = get_task(model_metadata(model).task).covers_image
    classes = min(PIXEL_CLASSES if segments else IMAGE_CLASSES, model.output_shape[-1])
    draw = colored_segments if segments else colored_patterns
    counts = {"fitting": FITTING, "calibration": CALIBRATION, "evaluation": EVALUATION}
    drawn = {
        name: draw(np.random.default_rng(seed), count, classes, channels)
        for seed, (name, count) in enumerate(counts.items())
    }
    map_sides = model.output_shape[1:-1]
    return {
        name: (
            upsample(squares, sides).astype("uint8"),
            center_crop(upsample(labels, sides), map_sides) if map_sides else labels,
        )
        for name, (squares, labels) in drawn.items()
    }


def colored_patterns(
    random: np.random.Generator, count: int, classes: int, channels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Squares `(count, CELLS, CELLS, channels)` in 0..255, and the class of each image."""
    patterns = np.random.default_rng(100).uniform(0, 255, (classes, CELLS, CELLS, channels))
    labels = random.integers(0, classes, count)
    return add_noise(random, patterns[labels]), labels


def colored_segments(
    random: np.random.Generator, count: int, classes: int, channels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Squares `(count, CELLS, CELLS, channels)` in 0..255, and the class of each square."""
    colors = np.linspace(0, 255, classes)[:, None] * np.ones(channels)
    colors = np.random.default_rng(100).permuted(colors, axis=0)
    labels = random.integers(0, classes, (count, CELLS, CELLS))
    return add_noise(random, colors[labels]), labels


def add_noise(random: np.random.Generator, squares: np.ndarray) -> np.ndarray:
    """Blend each color with a random one."""
    return (1 - NOISE) * squares + NOISE * random.uniform(0, 255, squares.shape)


def upsample(squares: np.ndarray, sides: Sequence[int]) -> np.ndarray:
    """Resize squares to the given height and width."""
    rows, columns = (np.arange(side) * CELLS // side for side in sides)
    return squares[:, rows][:, :, columns]


def center_crop(labels: np.ndarray, sides: Sequence[int]) -> np.ndarray:
    """Crop masks to the size of the outputs, which is smaller after convolutions without padding."""
    top, left = ((size - cropped) // 2 for size, cropped in zip(labels.shape[1:], sides, strict=True))
    return labels[:, top : top + sides[0], left : left + sides[1]]


def fit_last_layer(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> None:
    """Give a model of random weights accurate outputs, by a linear fit of its last layer.

    An untrained model has nearly the same outputs for every image, so that the agreement of an artifact would mean
    nothing. Random features with a linear fit (Huang et al. 2006) need no training. With BatchNorm they are chaotic,
    though: rounding errors grow by about half in each layer (Yang et al. 2019, arXiv:1902.08129), unlike in trained
    models. A beta of 1, with which an activation passes most values, keeps them small.

    The last layer of a U-Net may have as few as 16 inputs, which may not separate the classes linearly; then the model
    is trained for a minute on crops of the images.
    """
    flat = zoo.flatten_model(model)
    for norm in batch_norms(flat):
        if norm.center:
            norm.beta.assign(np.ones(norm.beta.shape))
    set_statistics(flat, images[:STATISTICS_IMAGES])
    accuracy = solve_last_layer(flat, images, labels)
    if labels.shape == images.shape[:-1] and accuracy < MIN_ACCURACY:
        train(flat, images, labels)
        set_statistics(flat, images[:STATISTICS_IMAGES])


def solve_last_layer(flat: keras.Model, images: np.ndarray, labels: np.ndarray) -> float:
    """Fit the last layer by ridge regression; returns its accuracy on the same images or pixels."""
    graph = FlatGraph(flat)
    node = [node for node in graph.nodes if isinstance(node.operation, keras.layers.Dense | keras.layers.Conv2D)][-1]
    last, trunk = node.operation, keras.Model(graph.model.input, node.inputs[0])
    features, classes = to_rows(trunk.predict(images, batch_size=16, verbose=0), labels)
    count = last.kernel.shape[-1]
    logits = MARGIN * (np.eye(count)[classes] - 1 / count)
    mean = features.mean(axis=0)
    centered = features - mean
    penalty = RIDGE * np.mean(np.sum(centered**2, axis=1))
    if len(centered) < centered.shape[1]:
        gram = centered @ centered.T + penalty * np.eye(len(centered))
        kernel = centered.T @ np.linalg.solve(gram, logits)
    else:
        gram = centered.T @ centered + penalty * np.eye(centered.shape[1])
        kernel = np.linalg.solve(gram, centered.T @ logits)
    last.kernel.assign(kernel.reshape(last.kernel.shape))
    if last.bias is not None:
        last.bias.assign(-mean @ kernel)
    return float(np.mean((centered @ kernel).argmax(axis=1) == classes))


def train(flat: keras.Model, images: np.ndarray, labels: np.ndarray) -> None:
    """Train all layers of a fully convolutional model on a crop of each image."""
    sides = np.array(images.shape[1:3])
    side = min(CROP, *sides)
    corners = np.random.default_rng(0).integers(0, sides - side, (len(images), 2), endpoint=True)
    crops = [(slice(top, top + side), slice(left, left + side)) for top, left in corners]
    image = keras.Input((side, side, images.shape[-1]))
    model = keras.models.clone_model(flat, input_tensors=image, clone_function=lambda layer: layer)
    model.compile(keras.optimizers.Adam(LEARNING_RATE), "sparse_categorical_crossentropy", jit_compile=False)
    cropped = [np.stack([row[crop] for row, crop in zip(array, crops, strict=True)]) for array in (images, labels)]
    model.fit(*cropped, batch_size=16, epochs=EPOCHS, verbose=0)


def to_rows(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features and class of each image, or of a number of pixels of labeled maps."""
    features = features.astype("float64")
    if features.ndim == 2:
        return features, labels
    if labels.ndim == 1:  # the scores of all pixels are averaged
        return features.mean(axis=(1, 2)), labels
    strides = np.array(labels.shape[1:]) // features.shape[1:3]
    classes = labels[:, :: strides[0], :: strides[1]][:, : features.shape[1], : features.shape[2]].ravel()
    features = features.reshape(-1, features.shape[-1])
    selected = np.random.default_rng(0).permutation(len(classes))[:FITTED_PIXELS]
    return features[selected], classes[selected]


def batch_norms(flat: keras.Model) -> list[keras.layers.BatchNormalization]:
    """All BatchNorm layers of a model."""
    return [layer for layer in flat.layers if isinstance(layer, keras.layers.BatchNormalization)]


def set_statistics(flat: keras.Model, images: np.ndarray) -> None:
    """Set the statistics of every BatchNorm to those of these images."""
    norms = batch_norms(flat)
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    flat(images.astype("float32"), training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
