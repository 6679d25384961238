"""A model in two: the trunk, which frozen layers compute from the image, and the tail, which is trained."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.progress import track

from ...core.atomic_files import UNFINISHED
from ...core.errors import InputError
from ...zoo.flat import flatten_model
from ..data.feature_maps import write_feature_maps
from ..data.images import ImageData, ImageSplit
from ..data.pipeline import evaluation_batches


class SplitModel(NamedTuple):
    """Two networks that share a model's layers and follow one another."""

    trunk: keras.Model
    """Images to a list of maps. Its layers are frozen; it is meant to run in inference mode."""
    tail: keras.Model
    """That list to the model's answers."""

    def whole(self) -> keras.Model:
        """The tail on top of the trunk, images in; the weights are the tail's alone."""
        image = keras.Input(self.trunk.input_shape[1:])
        whole = keras.Model(image, self.tail(InferenceMode(self.trunk)(image)), name=self.tail.name)
        whole.output_names = self.tail.output_names
        return whole


class InferenceMode(keras.layers.Layer):
    """A network in inference mode whatever the mode of the model around it: BatchNorm and dropout too.

    Keras' usual idiom, `network(x, training=False)` in a functional model, is overruled when that model is trained. The
    network is not among the layer's own, so its weights stay out of checkpoints.
    """

    def __init__(self, network: keras.Model, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self._infer = lambda inputs: network(inputs, training=False)

    def call(self, inputs):
        """The network's answers."""
        return self._infer(inputs)


def split_at_frozen(model: keras.Model) -> SplitModel:
    """Splits `model` before the first layers that have weights or random states and are not frozen.

    The split is made in the flat form, so features are as small as can be: what pools them is in the trunk too.
    """
    image = keras.Input(model.input_shape[1:])
    frozen, border = {id(image)}, []

    def follow(layer: Any, *args: Any, **kwargs: Any) -> Any:
        inputs = [tensor for tensor in keras.tree.flatten((args, kwargs)) if isinstance(tensor, keras.KerasTensor)]
        outputs = layer(*args, **kwargs)
        learns = getattr(layer, "trainable", False) and layer.variables
        if not learns and all(id(tensor) in frozen for tensor in inputs):
            frozen.update(id(tensor) for tensor in keras.tree.flatten(outputs))
        else:
            border.extend(tensor for tensor in inputs if id(tensor) in frozen)
        return outputs

    options = {"clone_function": lambda layer: layer, "call_function": follow}
    outputs = keras.models.clone_model(flatten_model(model), input_tensors=image, **options).output
    border = list({id(tensor): tensor for tensor in border}.values())
    tail = keras.Model(border, outputs, name=model.name)
    tail.output_names = model.output_names
    return SplitModel(keras.Model(image, border), tail)


def feature_bytes(trunk: keras.Model, split: ImageSplit) -> int:
    """What the trunk's maps of all images of `split` take on disk."""
    maps = trunk.compute_output_spec(keras.KerasTensor((len(split), *split.images.shape)))
    return sum(math.prod(map_.shape) * np.dtype(map_.dtype).itemsize for map_ in keras.tree.flatten(maps))


@contextmanager
def cached_features(
    trunk: keras.Model, data: ImageData, folder: Path, *, batch_size: int, quiet: bool
) -> Iterator[ImageData]:
    """`data` with the trunk's maps in place of the images to train and to validate on, in files in `folder` meanwhile.

    Raises:
        InputError: There is no room.
    """
    with TemporaryDirectory(prefix=UNFINISHED, dir=folder) as cache:
        try:
            parts = {
                name: _features(trunk, split, Path(cache, name), batch_size, quiet)
                for name, split in {"train": data.train, "validation": data.validation}.items()
            }
        except OSError as error:
            raise InputError(f"features cannot be kept in {folder}: {error.strerror or error}.") from error
        yield replace(data, **parts)


def _features(trunk: keras.Model, split: ImageSplit, folder: Path, batch_size: int, quiet: bool) -> ImageSplit:
    console = Console(stderr=True)
    shown = track(
        evaluation_batches(split, batch_size),
        "Features",
        total=math.ceil(len(split) / batch_size),
        console=console,
        disable=quiet or not console.is_terminal,
    )
    infer = tf.function(partial(trunk, training=False), [tf.TensorSpec((None, *split.images.shape))], autograph=False)
    maps = ([map_.numpy() for map_ in keras.tree.flatten(infer(images))] for images, _ in shown)
    folder.mkdir()
    return replace(split, images=write_feature_maps(maps, folder))
