"""The layers of a float model rewritten as those that have an integer kernel in TFLite; the outputs stay the same.

What TFLite computes in several integer operations becomes several layers here, so that each can be rounded.
"""

from collections.abc import Callable
from functools import reduce
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, layers

from ....core.flat_graph import retrace, symbolic_tensors
from ....core.layer_traits import IntegerRange, traits_of
from ....core.operation_layers import layers_for_operations

PAIRWISE = (layers.Add, layers.Multiply, layers.Maximum, layers.Minimum)
"""Layers of any number of inputs that TFLite computes two by two."""


def integer_form(flat: keras.Model) -> keras.Model:
    """Return the same function in more elementary layers; those that are elementary already are shared with `flat`.

    Operations become layers (`layers_for_operations`), a separable convolution becomes a depthwise and a pointwise one,
    a mean of tensors their sum and a factor, a sum of three tensors two sums, and a crop of known size a `Cropping2D`.
    The last layer in place of another has its name, or one that begins with it. Weights are copied.

    Args:
        flat: A flat functional model (`zoo.flatten_model`).
    """
    made: dict[tuple[Any, ...], Callable[..., Any] | None] = {}
    """By layer, which may be applied several times, and shape of its inputs."""

    def rewritten(layer: keras.Operation, *args: Any, **kwargs: Any) -> Any:
        shapes = [tuple(tensor.shape) for tensor in symbolic_tensors(args)]
        key = (id(layer), len(shapes)) if len(shapes) > 1 else (id(layer), *shapes)
        if key not in made:
            made[key] = _elementary(layer, args[0] if args else None)
        replacement = made[key]
        return layer(*args, **kwargs) if replacement is None else replacement(args[0])

    return retrace(layers_for_operations(flat), call_function=rewritten)


def integer_range(layer: keras.Operation) -> IntegerRange | None:
    """Return how TFLite represents the output of a layer, as `LayerTraits.integer_range`."""
    if isinstance(layer, layers.Resizing):
        is_plain = not (layer.antialias or layer.crop_to_aspect_ratio or layer.pad_to_aspect_ratio)
        return "input_rounded" if is_plain and layer.interpolation in ("nearest", "bilinear") else None
    return traits_of(layer).integer_range


def _elementary(layer: keras.Operation, inputs: Any) -> Callable[[Any], KerasTensor] | None:
    """Return what replaces a layer, as a function of its inputs; None for a layer that stays."""
    if type(layer) is layers.SeparableConv2D and layer.data_format == "channels_last":
        return _separable(layer)
    if isinstance(layer, layers.CenterCrop):
        return _crop(layer, inputs)
    if isinstance(layer, layers.Average):
        mean = layers.Rescaling(1 / len(inputs), name=layer.name)
        total = _pairwise(layers.Add, f"{layer.name}_sum", len(inputs))
        return lambda tensors: mean(total(tensors))
    if type(layer) in PAIRWISE and len(inputs) > 2:
        return _pairwise(type(layer), layer.name, len(inputs))
    return None


def _separable(layer: layers.SeparableConv2D) -> Callable[[KerasTensor], KerasTensor]:
    config = layer.get_config()
    shared = {key: config[key] for key in ("data_format", "dtype", "trainable")}
    depthwise = layers.DepthwiseConv2D(
        **{key: config[key] for key in ("kernel_size", "strides", "padding", "depth_multiplier", "dilation_rate")},
        **{f"depthwise_{key}": config[f"depthwise_{key}"] for key in ("regularizer", "constraint")},
        use_bias=False,
        name=f"{layer.name}_depthwise",
        **shared,
    )
    pointwise = layers.Conv2D(
        filters=layer.filters,
        kernel_size=1,
        activation=layer.activation,
        name=layer.name,
        **{f"kernel_{key}": config[f"pointwise_{key}"] for key in ("regularizer", "constraint")},
        **{key: config[key] for key in ("use_bias", "bias_regularizer", "bias_constraint", "activity_regularizer")},
        **shared,
    )
    first, *others = layer.get_weights()
    depthwise.build((None, None, None, first.shape[2]))
    pointwise.build((None, None, None, first.shape[2] * first.shape[3]))
    depthwise.set_weights([first])
    pointwise.set_weights(others)
    return lambda tensor: pointwise(depthwise(tensor))


def _crop(layer: layers.CenterCrop, tensor: KerasTensor) -> Callable[[KerasTensor], KerasTensor] | None:
    """Return the same crop as margins; None where a side is open, or smaller, so that the map is resized."""
    sides, wanted = tensor.shape[1:3], (layer.height, layer.width)
    if layer.data_format != "channels_last" or len(tensor.shape) != 4 or None in sides:
        return None
    margins = np.subtract(sides, wanted)
    if margins.min() < 0:
        return None
    name = f"{layer.name}_of_{sides[0]}x{sides[1]}"
    return layers.Cropping2D([(int(margin // 2), int(margin - margin // 2)) for margin in margins], name=name)


def _pairwise(join: Callable[..., Any], name: str, count: int) -> Callable[[list[KerasTensor]], KerasTensor]:
    joins = [join(name=name if number == count else f"{name}_of_{number}") for number in range(2, count + 1)]
    return lambda tensors: reduce(
        lambda one, pair: pair[0]([one, pair[1]]), zip(joins, tensors[1:], strict=True), tensors[0]
    )
