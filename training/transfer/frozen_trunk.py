"""A model in two parts: the trunk, computed from the image by frozen layers, and the tail, which is trained."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from rich.progress import track

from ...core.atomic_files import UNFINISHED
from ...core.errors import WriteError, write_error_reason
from ...core.flat_graph import FlatGraph
from ...core.safe_console import SafeConsole
from ...zoo.flat import flatten_model
from ...zoo.signature import arrange_inputs, named_inputs
from ..data.feature_maps import write_feature_maps
from ..data.images import ImageData, ImageSplit
from ..data.pipeline import evaluation_batches


class SplitModel(NamedTuple):
    """Two networks that share a model's layers and follow one another."""

    trunk: keras.Model
    """Inputs to a list of feature maps. Its layers are frozen; run it in inference mode."""
    tail: keras.Model
    """That list to the model's outputs."""

    def whole(self) -> keras.Model:
        """Return the tail on top of the trunk, from inputs to outputs; its weights are those of the tail only."""
        inputs = keras.tree.map_structure(
            lambda tensor: keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=tensor.name), self.trunk.input
        )
        whole = keras.Model(inputs, self.tail(InferenceMode(self.trunk)(inputs)), name=self.tail.name)
        whole.output_names = self.tail.output_names
        return whole


class InferenceMode(keras.layers.Layer):
    """Run a network in inference mode, BatchNorm and dropout included, whatever the mode of the model around it.

    Keras' usual idiom, `network(x, training=False)` in a functional model, is overruled when that model is trained. The
    network is not tracked by the layer, so its weights stay out of checkpoints.
    """

    def __init__(self, network: keras.Model, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self._infer = lambda inputs: network(inputs, training=False)

    def call(self, inputs):
        """Return the outputs of the network."""
        return self._infer(inputs)


def split_at_frozen(model: keras.Model) -> SplitModel:
    """Split `model` before the first layers that have weights or random states and are not frozen.

    The split is made in the flat form and as late as possible: pooling is part of the trunk, so features are small.
    """
    graph = FlatGraph(flatten_model(model))
    frozen = set(graph.inputs)
    border: dict[keras.KerasTensor, None] = {}  # in order, each once
    for node in graph.nodes:
        learns = node.is_layer and node.operation.trainable and node.operation.variables
        if not learns and frozen.issuperset(node.inputs):
            frozen.update(node.outputs)
        else:
            border |= dict.fromkeys(tensor for tensor in node.inputs if tensor in frozen)
    tail = keras.Model(list(border), graph.model.output, name=model.name)
    tail.output_names = model.output_names
    return SplitModel(keras.Model(graph.model_input, list(border)), tail)


def feature_bytes(trunk: keras.Model, split: ImageSplit) -> int:
    """Return the size on disk, in bytes, of the trunk's feature maps of all images of `split`."""
    dtypes = {name: tensor.dtype for name, tensor in named_inputs(trunk).items()}
    inputs = {
        name: keras.KerasTensor((len(split), *each.shape), dtypes.get(name, "float32"))
        for name, each in split.inputs.items()
    }
    maps = trunk.compute_output_spec(inputs[""] if "" in inputs else arrange_inputs(trunk, inputs))
    return sum(math.prod(map_.shape) * np.dtype(map_.dtype).itemsize for map_ in keras.tree.flatten(maps))


@contextmanager
def cached_features(
    trunk: keras.Model, data: ImageData, folder: Path, *, batch_size: int, quiet: bool
) -> Iterator[ImageData]:
    """Context manager: `data` with the trunk's feature maps in place of training and validation images.

    The maps are kept in temporary files in `folder` until the block ends.

    Raises:
        WriteError: The files cannot be written, for example because the disk is full.
    """
    with TemporaryDirectory(prefix=UNFINISHED, dir=folder) as cache:
        try:
            parts = {
                name: _features(trunk, split, Path(cache, name), batch_size, quiet)
                for name, split in {"train": data.train, "validation": data.validation}.items()
            }
        except OSError as error:
            message = f"features cannot be kept in {folder}: {write_error_reason(error)}."
            raise WriteError(message, error.errno) from error
        yield replace(data, train=parts["train"], validation=parts["validation"])


def _features(trunk: keras.Model, split: ImageSplit, folder: Path, batch_size: int, quiet: bool) -> ImageSplit:
    console = SafeConsole(stderr=True)
    batches = evaluation_batches(split, batch_size)
    shown = track(
        batches,
        "Features",
        total=math.ceil(len(split) / batch_size),
        console=console,
        disable=quiet or not console.is_terminal,
    )
    infer = tf.function(partial(trunk, training=False), [batches.element_spec[0]], autograph=False)
    maps = ([map_.numpy() for map_ in keras.tree.flatten(infer(inputs))] for inputs, _ in shown)
    folder.mkdir()
    return replace(split, images=write_feature_maps(maps, folder), image_name="", further={})
