"""The flat form: the same model written out in stock Keras layers."""

from typing import Any

import keras

from ..core.errors import InputError
from ..layers import CompositeLayer, FakeQuantize, PixelNormalization
from ..layers.quantized_kernels import KernelOnGrid


def flatten_model(model: keras.Model) -> keras.Model:
    """Return the same function as `model` in a functional model of stock Keras layers that share `model`'s weights.

    Composite layers and nested models are replaced by what their `call` does, at any depth; `PixelNormalization`
    becomes a `Rescaling` with a copy of its constants. Outputs are bit-identical. The saved flat model loads anywhere
    without this package. Only layers of quantization-aware training remain: `FakeQuantize`, and layers with rounded
    kernels.

    The layers are the very objects of `model`, and so belong to several graphs: `layer.output` is not a tensor of the
    flat form. Save and load it to get layers of its own.

    Raises:
        InputError: `model` is a subclassed model, which has no graph, or has a layer that is neither a Keras layer nor
            a composite.
    """
    if not getattr(model, "inputs", None) or not getattr(model, "outputs", None):
        raise InputError(f"{model.name} has no flat form: it is neither a functional nor a Sequential model.")
    stock: dict[int, keras.layers.Layer] = {}

    def to_stock(layer: keras.layers.Layer) -> keras.layers.Layer:
        if not isinstance(layer, PixelNormalization):
            return layer
        return stock.setdefault(id(layer), _rescaling(layer))  # a layer that is applied twice stays one layer

    flat = without_optimizer(model)  # which clones would copy
    while any(isinstance(layer, PixelNormalization) or _is_composite(layer) for layer in flat.layers):
        flat = keras.models.clone_model(flat, clone_function=to_stock, call_function=_inline)
    if any(map(_is_conversion, flat.operations)):
        flat = keras.models.clone_model(flat, clone_function=lambda layer: layer, call_function=_inline)
    for layer in flat.layers:
        if not isinstance(layer, FakeQuantize | KernelOnGrid) and not type(layer).__module__.startswith("keras."):
            kind = type(layer).__name__
            raise InputError(f"{model.name} has no flat form: layer {layer.name} ({kind}) is not a Keras layer.")
    return flat


def without_optimizer(model: keras.Model) -> keras.Model:
    """Return the same layers as a model that is not compiled."""
    if isinstance(model, keras.Sequential):  # has no `input` before it is called
        return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    return keras.Model(model.input, model.output, name=model.name)


def _is_composite(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, CompositeLayer | keras.Model)


def _is_conversion(operation: keras.Operation) -> bool:
    """Whether it has no effect: a conversion to a tensor, from a tensor of the same dtype."""
    if type(operation).__name__ != "ConvertToTensor":
        return False
    return operation.input.dtype == operation.output.dtype


def _inline(layer: keras.layers.Layer, *args: Any, **kwargs: Any) -> Any:
    if _is_conversion(layer):  # applied by nested models to their inputs
        return args[0]
    # `call` on symbolic tensors records the parts, where `__call__` would record the composite as one opaque node.
    return layer.call(*args, **kwargs) if _is_composite(layer) else layer(*args, **kwargs)


def _rescaling(layer: PixelNormalization) -> keras.layers.Rescaling:
    scale, offset = (keras.ops.convert_to_numpy(value).tolist() for value in layer.scale_and_offset())
    return keras.layers.Rescaling(scale, offset, name=layer.name, dtype="float32")
