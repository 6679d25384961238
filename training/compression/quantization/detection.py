"""Detection of quantized models, which can no longer be pruned."""

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
