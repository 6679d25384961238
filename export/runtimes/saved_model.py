"""TensorFlow, for SavedModels that pocketzoo wrote; others are opened as Keras models."""

from pathlib import Path
from typing import Any

from ..artifact.artifact import Artifact
from ..artifact.certificate import certificate_in_directory
from ..artifact.metadata import read_from_directory
from ..artifact.tensors import TensorInfo, check_signature, only_or_named


def open_saved_model(path: Path, _: bytes, *, threads: int = 1, signature: str = "") -> Artifact:
    """Open a SavedModel after a look at its operations, some of which could read or write files.

    Args:
        path: The directory.
        threads: Not used: TensorFlow has the threads that it was started with.
        signature: The signature that is run, `serving_default` if empty.

    Raises:
        InputError: It could read or write files, or does not take images.
    """
    import tensorflow as tf

    from ...zoo.saved_model import SIGNATURE, check_saved_model

    check_saved_model(path)
    metadata = read_from_directory(path)
    loaded = tf.saved_model.load(str(path))
    function = loaded.signatures[signature or SIGNATURE]
    takes, makes = function.structured_input_signature[1], function.structured_outputs
    inputs = [_tensor_info(name or "image", takes[name or "image"]) for name in metadata.input_forms]
    outputs = [_tensor_info(name, makes[name]) for name in (metadata.outputs or makes)]
    check_signature([tensor.shape for tensor in inputs], len(outputs))
    image, output = only_or_named(inputs, True), only_or_named(outputs, metadata.outputs is None)

    def invoke(tensors: Any) -> Any:
        feeds = tensors if isinstance(tensors, dict) else {inputs[0].name: tensors}
        results = loaded.signatures[signature or SIGNATURE](**{name: tf.constant(feeds[name]) for name in feeds})
        arrays = {tensor.name: results[tensor.name].numpy() for tensor in outputs}
        return arrays if isinstance(output, dict) else arrays[outputs[0].name]

    return Artifact(path, image, output, metadata, invoke, certificate=certificate_in_directory(path))


def _tensor_info(name: str, spec: Any) -> TensorInfo:
    return TensorInfo(name, tuple(spec.shape), spec.dtype.name)
