"""Refusals of operators that a format does not have."""

from collections.abc import Iterable

from ...core.errors import InputError
from .layer_scopes import LayerScopes

RESIZING = "use interpolation='bilinear' or 'nearest' and antialias=False"
SCORES = "end the model with the scores, from which predictions are read, in place of their argmax"
REMEDIES = {
    "Bitcast": SCORES,
    "BitwiseAnd": SCORES,
    "MaxPool3D": "use MaxPooling2D",
    "AvgPool3D": "use AveragePooling2D",
    "ResizeArea": RESIZING,
    "ResizeBicubic": RESIZING,
    "ScaleAndTranslate": RESIZING,
    "TensorListReserve": "give its sequence a fixed length, with input_size, or --input-size",
}
"""By the name of the operator in TensorFlow."""


def unsupported(operator: str, names: Iterable[str], scopes: LayerScopes, model: str, form: str) -> InputError:
    """Describe an operator that a format does not have: the layer that computes it, and what to do.

    Args:
        operator: Its name.
        names: Names of the nodes that compute it.
        scopes: Name scopes of the layers.
        model: Name of the model.
        form: What does not have the operator, such as `ONNX`.
    """
    layers = dict.fromkeys(layer for name in names for layer in scopes.layers_of(name))
    place = f"{next(iter(layers))} of {model}" if layers else model
    remedy = REMEDIES.get(operator, "replace the layer, or export to another format")
    return InputError(f"{place} computes {operator}, which {form} does not have; {remedy}.")
