"""Keras models as artifacts, so that they can be run and timed in the same way."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ...core.errors import InputError
from ...core.keras_private import replace_name_scopes
from ...core.outputs import map_outputs
from ...zoo.model_arguments import functional_argument
from ...zoo.planar_form import planar_form, takes_signals
from ...zoo.signature import arrange_inputs, name_outputs, named_inputs, named_outputs
from ..artifact.artifact import Artifact
from ..artifact.tensors import TensorInfo
from ..conversion.export_graph import model_metadata


def as_artifact(model: keras.Model) -> Artifact:
    """Wrap `model` in inference mode as a compiled graph; one for signals in the form of its files, of one row.

    Raises:
        InputError: It takes no images, or its size is open.
    """
    model = functional_argument(model)
    model = planar_form(model) if takes_signals(model) else model
    metadata = model_metadata(model)
    inputs = {
        name: TensorInfo(name or "image", (1, *form.shape), form.dtype) for name, form in metadata.input_forms.items()
    }
    for form in metadata.input_forms.values():
        if None in form.shape:
            raise InputError(f"{model.name} leaves its size open, {form.shape}; create it with a fixed input_shape.")
    outputs = [TensorInfo(name, (1, *tensor.shape[1:]), "float32") for name, tensor in named_outputs(model).items()]

    @tf.function
    def graph(tensors: Any) -> Any:
        values = tensors if isinstance(tensors, dict) else dict.fromkeys(named_inputs(model), tensors)
        with replace_name_scopes(lambda _: nullcontext()):  # TensorFlow does not accept every name
            results = name_outputs(model, model(arrange_inputs(model, values), training=False))
        return results if metadata.outputs is not None else next(iter(results.values()))

    output = {tensor.name: tensor for tensor in outputs}
    return Artifact(
        path=Path(f"{model.name}.keras"),
        input=inputs.get("", inputs),
        output=output if metadata.outputs is not None else replace(outputs[0], name=metadata.output_name),
        metadata=metadata,
        invoke=lambda tensors: map_outputs(np.asarray, graph(map_outputs(tf.constant, tensors))),
    )
