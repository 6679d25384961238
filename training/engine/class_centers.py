"""Where the class centers of ArcFace are at the start of a later phase of a run: at the embeddings so far."""

import keras
import numpy as np

from ...tasks.retrieval import unit_vectors
from ..data.balance import images_in_batches
from ..data.class_batches import images_per_class
from ..data.images import ImageSplit
from ..data.pipeline import batches_of_rows
from ..recipe.recipe import Recipe

MOST_BATCHES = 64
"""Batches of images that centers are computed from, at most."""


def center_on_images(network: keras.Model, split: ImageSplit, recipe: Recipe) -> None:
    """Set the centers of a network with one output to the mean embeddings of some images of each class.

    Each phase has a network of its own, whose centers would be random; an embedding that is trained already would be
    turned toward them. Does nothing for networks without centers, and leaves those of classes without images.

    Args:
        network: What is trained.
        split: The images it is trained on.
        recipe: Seed and batch size.
    """
    layers = getattr(network, "class_centers", [])
    of_each = images_per_class(split, recipe)
    if not layers or of_each is None or isinstance(split.labels, dict):
        return
    rows = images_in_batches(split, recipe, of_each, epoch=-1)[: MOST_BATCHES * recipe.batch_size]
    sums = np.zeros(layers[0].directions.shape)
    for inputs, targets in batches_of_rows(split, rows, recipe.batch_size):
        np.add.at(sums, targets.numpy(), unit_vectors(np.asarray(network.predict_on_batch(inputs))))
    for layer in layers:
        present = np.any(sums != 0, axis=1, keepdims=True)
        layer.directions.assign(np.where(present, unit_vectors(sums), layer.directions.numpy()))
