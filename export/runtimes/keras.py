"""Keras models as artifacts, so that they can be run and timed in the same way."""

from pathlib import Path

import keras
import tensorflow as tf

from ...core.errors import InputError
from ...zoo.model_arguments import functional_argument
from ...zoo.signature import check_single_output, image_shape
from ..artifact.artifact import Artifact
from ..artifact.tensors import TensorInfo
from ..conversion.export_graph import model_metadata


def as_artifact(model: keras.Model) -> Artifact:
    """Wrap `model` in inference mode as a compiled graph.

    Raises:
        InputError: It does not have one image input and one output, or its size is open.
    """
    model = functional_argument(model)
    shape = image_shape(model)
    check_single_output(model)
    if None in shape:
        raise InputError(f"{model.name} leaves its size open, {shape}; create it with a fixed input_shape.")
    metadata = model_metadata(model)
    graph = tf.function(lambda image: model(image, training=False))
    return Artifact(
        path=Path(f"{model.name}.keras"),
        input=TensorInfo("image", (1, *shape), "float32"),
        output=TensorInfo(metadata.output_name, (1, *model.output_shape[1:]), "float32"),
        metadata=metadata,
        invoke=lambda image: graph(tf.constant(image)).numpy(),
    )
