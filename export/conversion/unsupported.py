"""Refusals of operators that a format does not have."""

from collections.abc import Collection, Iterable

import keras

from ...core.errors import InputError
from ...core.keras_private import all_layers
from .layer_scopes import LayerScopes

STEPS = "write out its steps, as by unroll=True of a recurrent layer, or export to another format"
LOOPS = ("While", "StatelessWhile", "If", "StatelessIf")
"""Operators with graphs of their own."""
RESIZING = "use interpolation='bilinear' or 'nearest' and antialias=False"
REMEDIES = {
    **dict.fromkeys(LOOPS, STEPS),
    "Conv2DBackpropInput": "use dilation_rate=1",
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


def check_own_quantization(flat: keras.Model, modes: Collection[str], form: str) -> None:
    """Raise InputError where Keras' own `quantize` changed a layer to numbers that a format does not have.

    Args:
        flat: The model.
        modes: What the format does not have, such as `float8`.
        form: What messages call the format.
    """
    for layer in all_layers(flat):
        mode = getattr(layer, "quantization_mode", None)
        if mode in modes:
            raise InputError(
                f"{layer.name} of {flat.name} was quantized to {mode} by Keras, which {form} cannot hold; export the "
                "model as it was before, and give calibration images for files in integers."
            )
