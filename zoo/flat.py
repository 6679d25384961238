"""The flat form: the same model written out in stock Keras layers."""

from inspect import signature
from typing import Any

import keras

from ..core.arguments import check_arguments
from ..core.keras_private import all_layers, allow_equal_names
from ..layers import CompositeLayer, PixelNormalization
from .contract import copy_contract
from .functional_form import graph_of_call, with_different_names
from .functional_form import without_optimizer as without_optimizer


@check_arguments
def flatten_model(model: keras.Model) -> keras.Model:
    """Return the same function as `model` in a functional model of stock Keras layers that share `model`'s weights.

    Composite layers and nested models are replaced by what their `call` does, at any depth; `PixelNormalization`
    becomes a `Rescaling` with a copy of its constants. Outputs are bit-identical. What is stated about `model` holds
    for its flat form. The saved flat model of a model of the zoo loads anywhere without this package. Layers of
    quantization-aware training remain: `FakeQuantize`, and layers with rounded kernels. So do custom layers with
    weights of their own, and custom layers and subclassed models that are not a graph of layers and operations: what is
    inside them stays hidden.

    The layers are the very objects of `model`, and so belong to several graphs: `layer.output` is not a tensor of the
    flat form. Save and load it to get layers of its own. Where several layers of `model` have the same name, as in two
    nested models of one kind, all but the first are represented by twins with other names and the same weights.

    Raises:
        InputError: As in `functional_form`.
    """
    stock: dict[int, keras.layers.Layer] = {}

    def to_stock(layer: keras.layers.Layer) -> keras.layers.Layer:
        if not isinstance(layer, PixelNormalization):
            return layer
        return stock.setdefault(id(layer), _rescaling(layer))  # a layer that is applied twice stays one layer

    flat, inline = without_optimizer(model), _Inlining()  # clones would copy an optimizer
    with allow_equal_names():
        while any(isinstance(layer, PixelNormalization) or inline.knows_parts_of(layer) for layer in flat.layers):
            flat = keras.models.clone_model(flat, clone_function=to_stock, call_function=inline)
        if inline.told_parts or any(map(_is_conversion, flat.operations)):
            flat = keras.models.clone_model(flat, clone_function=lambda layer: layer, call_function=inline)
    flat = with_different_names(flat)
    copy_contract(model, flat)
    return flat


class _Inlining:
    """Calls layers; in place of those that are made of layers, their parts."""

    def __init__(self) -> None:
        self._hidden = set[int]()
        """Layers that are not a graph of other layers and operations, by id."""
        self.told_parts = False
        """Whether a nested model was called as `base(x, training=False)`, which Keras passes on to all its layers."""

    def knows_parts_of(self, layer: keras.Layer) -> bool:
        may_have_parts = isinstance(layer, CompositeLayer | keras.Model) or _is_custom_without_weights(layer)
        return may_have_parts and id(layer) not in self._hidden

    def __call__(self, layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        if _is_conversion(layer):  # applied by nested models to their inputs
            return args[0]
        if not self.knows_parts_of(layer):
            return layer(*args, **_taken_by(layer, kwargs))
        self.told_parts |= "training" in kwargs
        if isinstance(layer, CompositeLayer | keras.Function | keras.Sequential):
            # `call` on symbolic tensors records the parts; `__call__` would record the composite as one opaque node.
            return layer.call(*args, **kwargs)
        graph = graph_of_call(layer, *map(_inputs_like, args)) if len(args) == 1 else None
        if graph is None:
            self._hidden.add(id(layer))
            return layer(*args, **kwargs)
        return graph.call(*args)


def _is_custom_without_weights(layer: keras.Layer) -> bool:
    """Whether all weights and random states of a custom layer, if any, are those of layers inside it.

    Layers that one model of `keras.applications` has for itself are custom, too.
    """
    modules = ((ancestor, ancestor.__module__) for ancestor in type(layer).__mro__)
    stock = next(one for one, module in modules if module.startswith("keras.") and ".applications." not in module)
    if stock is not keras.Layer or type(layer).__module__.startswith("pocketzoo."):
        return False
    inside = {id(variable) for part in all_layers(layer) for variable in part.variables}
    return all(id(variable) in inside for variable in layer.variables)


def _taken_by(layer: keras.Layer, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return arguments without a `training` that `call` does not take: `Add` fails on it when it is called anew."""
    if "training" not in kwargs or not isinstance(layer, keras.Layer):
        return kwargs
    parameters = signature(layer.call).parameters.values()
    if any(each.name == "training" or each.kind is each.VAR_KEYWORD for each in parameters):
        return kwargs
    return {name: value for name, value in kwargs.items() if name != "training"}


def _inputs_like(tensors: Any) -> Any:
    return keras.tree.map_structure(lambda tensor: keras.Input(tensor.shape[1:], dtype=tensor.dtype), tensors)


def _is_conversion(operation: keras.Operation) -> bool:
    """Whether it has no effect: a conversion to a tensor, from a tensor of the same dtype."""
    if type(operation).__name__ != "ConvertToTensor":
        return False
    return operation.input.dtype == operation.output.dtype


def _rescaling(layer: PixelNormalization) -> keras.layers.Rescaling:
    scale, offset = (keras.ops.convert_to_numpy(value).tolist() for value in layer.scale_and_offset())
    rescaling = keras.layers.Rescaling(scale, offset, name=layer.name, dtype="float32")
    rescaling.pixel_range = layer.pixel_range  # which its constants do not tell, for `zoo.pixel_range`
    return rescaling
