"""Detection of models that cannot be compressed: quantized already, or with weights of reduced precision."""

import keras

from ....core.errors import InputError
from ....core.keras_private import all_layers
from ....layers.fake_quantization import FakeQuantize


def check_not_quantized(model: keras.Model, becomes: str) -> None:
    """Raise InputError if a layer of `model` is quantized, by Keras or by `quantize_aware`.

    Args:
        model: All its layers are checked, at any depth.
        becomes: Past participle of what can no longer be done with it, such as `"pruned"`.
    """
    for layer in all_layers(model):
        if isinstance(layer, FakeQuantize) or isinstance(layer.dtype_policy, keras.dtype_policies.QuantizedDTypePolicy):
            raise InputError(
                f"{model.name} is already quantized, first in layer {layer.name}; it must be {becomes} before that."
            )


def check_float32_weights(model: keras.Model, becomes: str) -> None:
    """Raise InputError if `model` has trained weights of another type than float32; mixed precision is allowed.

    Args:
        model: All its weights are checked.
        becomes: Past participle of what cannot be done with it, such as `"pruned"`.
    """
    for weight in model.weights:
        if "float" in weight.dtype and weight.dtype != "float32":
            raise InputError(
                f"{model.name} has weights of {weight.dtype}, first {weight.path}; only float32 ones can be {becomes}: "
                f"make the model with the dtype policy float32 or mixed_{weight.dtype}, and set its weights."
            )
