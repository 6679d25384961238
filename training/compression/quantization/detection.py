"""Whether a model is quantized: then it is too late to make it sparse, or narrower."""

import keras

from ....core.errors import InputError
from ....core.keras_private import all_layers
from ....layers.fake_quantization import FakeQuantize


def check_not_quantized(model: keras.Model, becomes: str) -> None:
    """Raises InputError where a layer of `model` is quantized, by Keras or by `quantize_aware`.

    Args:
        model: Of which all layers are looked at, at any depth.
        becomes: What cannot be done with it any more, such as `"pruned"`.
    """
    for layer in all_layers(model):
        if isinstance(layer, FakeQuantize) or isinstance(layer.dtype_policy, keras.dtype_policies.QuantizedDTypePolicy):
            raise InputError(
                f"{model.name} is quantized already, as layer {layer.name} says; it is {becomes} before that."
            )
