"""Stock layers for operations: `x + y`, `x / 255` or `ops.relu(x)` in a model become the layers that compute the same.

Tools that have a rule for a layer thereby have it for the operation too, which has no config and no stable name.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, layers

from .flat_graph import retrace, symbolic_tensors

ACTIVATIONS = {
    "Relu": "relu",
    "Relu6": "relu6",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Silu": "silu",
    "HardSigmoid": "hard_sigmoid",
    "HardSilu": "hard_silu",
    "Selu": "selu",
    "Mish": "mish",
    "Softplus": "softplus",
    "Softsign": "softsign",
}
"""Activations without arguments, by class of the operation."""
JOINS = {
    "Add": layers.Add,
    "Subtract": layers.Subtract,
    "Multiply": layers.Multiply,
    "Maximum": layers.Maximum,
    "Minimum": layers.Minimum,
}

Arguments = tuple[Any, ...]
Maker = Callable[[Any, KerasTensor, Arguments, dict[str, Any]], keras.Layer | None]
"""Returns a layer with some settings for an operation of one tensor, given its arguments, or None."""


def layers_for_operations(model: keras.Model) -> keras.Model:
    """Return a functional `model` with stock layers in place of the operations for which there are some.

    The layers have the names of the operations; those that are layers already are shared with `model`. Outputs are
    equal up to rounding (a division becomes a multiplication).
    """

    def replaced(operation: keras.Operation, *args: Any, **kwargs: Any) -> Any:
        layer = None if isinstance(operation, keras.Layer) else layer_for(operation, args, kwargs)
        if layer is None:
            return operation(*args, **kwargs)
        tensors = symbolic_tensors((args, kwargs))
        return layer(list(tensors) if len(tensors) > 1 else tensors[0])

    return retrace(model, call_function=replaced)


def layer_for(operation: keras.Operation, args: Arguments, kwargs: dict[str, Any]) -> keras.Layer | None:
    """Return a new layer that computes what an operation of Keras does with these arguments, or None.

    Args:
        operation: No layer.
        args: Its positional arguments: symbolic tensors and constants.
        kwargs: Its keyword arguments.
    """
    kind, tensors = type(operation).__name__, symbolic_tensors((args, kwargs))
    if not type(operation).__module__.startswith("keras.") or not tensors:
        return None
    (first, *others), settings = tensors, {"name": operation.name, "dtype": tensors[0].dtype}
    if others:
        if kind == "Concatenate":
            return layers.Concatenate(axis=getattr(operation, "axis"), **settings)  # noqa: B009 (of this operation alone)
        alike = all((len(one.shape), one.dtype) == (len(first.shape), first.dtype) for one in others)
        return JOINS[kind](**settings) if kind in JOINS and alike else None
    if kind in ACTIVATIONS:
        return layers.Activation(ACTIVATIONS[kind], **settings)
    if kind in ("Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Negative"):
        return _rescaling(kind, first, (*args, *kwargs.values()), settings)
    make = BY_CLASS.get(kind)
    return make(operation, first, (*args, *kwargs.values()), settings) if make else None


def _rescaling(kind: str, tensor: KerasTensor, operands: Arguments, settings: dict[str, Any]) -> keras.Layer | None:
    """Return the layer for arithmetic of a tensor and a constant: one number, or one per channel."""
    if "float" not in tensor.dtype:
        return None
    if kind == "Negative":
        return layers.Rescaling(-1.0, **settings)
    if len(operands) != 2:
        return None
    is_reversed = operands[1] is tensor
    number = _by_channel(operands[0] if is_reversed else operands[1], tensor)
    if number is None or (is_reversed and kind in ("Divide", "TrueDivide")):
        return None
    scale, offset = {
        "Add": (1.0, number),
        "Subtract": (-1.0, number) if is_reversed else (1.0, -number),
        "Multiply": (number, 0.0),
    }.get(kind) or (1.0 / number, 0.0)
    return layers.Rescaling(_plain(scale), _plain(offset), **settings)


def _by_channel(constant: Any, tensor: KerasTensor) -> np.ndarray | None:
    """Return a constant as one number, or one per channel of a tensor; None if it is neither."""
    values = np.asarray(keras.ops.convert_to_numpy(constant), "float64")
    if values.size == 1 and values.ndim <= len(tensor.shape):
        return values.reshape(())
    is_last_axis_only = values.ndim <= len(tensor.shape) and values.size == values.shape[-1] == tensor.shape[-1]
    return values.ravel() if is_last_axis_only else None


def _plain(values: Any) -> Any:
    """Return numbers as a config can have them."""
    return np.asarray(values).tolist()


def _relu(operation: Any, tensor: KerasTensor, args: Arguments, settings: dict[str, Any]) -> keras.Layer | None:
    return layers.ReLU(operation.max_value, operation.negative_slope, operation.threshold, **settings)


def _clip(operation: Any, tensor: KerasTensor, args: Arguments, settings: dict[str, Any]) -> keras.Layer | None:
    is_relu = np.ndim(operation.x_max) == 0 and np.all(np.asarray(operation.x_min) == 0) and operation.x_max > 0
    return layers.ReLU(float(operation.x_max), **settings) if is_relu else None


def _maximum(operation: Any, tensor: KerasTensor, args: Arguments, settings: dict[str, Any]) -> keras.Layer | None:
    (constant,) = [operand for operand in args if operand is not tensor] or [None]
    return layers.ReLU(**settings) if constant is not None and np.size(constant) == 1 and constant == 0 else None


def _leaky_relu(operation: Any, tensor: KerasTensor, args: Arguments, settings: dict[str, Any]) -> keras.Layer | None:
    return layers.LeakyReLU(operation.negative_slope, **settings)


def _elu(operation: Any, tensor: KerasTensor, args: Arguments, settings: dict[str, Any]) -> keras.Layer | None:
    return layers.ELU(operation.alpha, **settings)


def _gelu(operation: Any, tensor: KerasTensor, args: Arguments, settings: dict[str, Any]) -> keras.Layer | None:
    return None if operation.approximate else layers.Activation("gelu", **settings)


def _softmax(operation: Any, tensor: KerasTensor, args: Arguments, settings: dict[str, Any]) -> keras.Layer | None:
    is_last = operation.axis in (-1, len(tensor.shape) - 1)
    return layers.Activation("softmax", **settings) if is_last and len(tensor.shape) > 1 else None


def _reshape(operation: Any, tensor: KerasTensor, args: Arguments, settings: dict[str, Any]) -> keras.Layer | None:
    shape, before = tuple(operation.compute_output_spec(tensor).shape[1:]), tuple(tensor.shape[1:])
    keeps_images = None not in (*shape, *before) and np.prod(shape) == np.prod(before)
    return layers.Reshape(shape, **settings) if keeps_images and shape else None


def _pad(operation: Any, tensor: KerasTensor, args: Arguments, settings: dict[str, Any]) -> keras.Layer | None:
    width = [tuple(map(int, sides)) for sides in operation.pad_width]
    width = width * len(tensor.shape) if len(width) == 1 else width
    is_zero = operation.mode == "constant" and not any(np.any(value) for value in args[1:] if value is not None)
    if not is_zero or len(width) != 4 or width[0] != (0, 0) or width[3] != (0, 0):
        return None
    return layers.ZeroPadding2D(tuple(width[1:3]), data_format="channels_last", **settings)


def _crop(operation: Any, tensor: KerasTensor, args: Arguments, settings: dict[str, Any]) -> keras.Layer | None:
    """Return the layer for a slice of rows and columns that keeps all images and channels."""
    key = args[1] if len(args) == 2 else None
    key = tuple(key) if isinstance(key, list | tuple) else (key,)
    if key[-1:] == (Ellipsis,):
        key = key[:-1]
    if not all(isinstance(part, slice) and part.step in (None, 1) for part in key) or len(tensor.shape) != 4:
        return None
    parts = (*key, *[slice(None)] * (4 - len(key)))
    if parts[0] != slice(None) or parts[3] != slice(None) or None in tensor.shape[1:3]:
        return None
    ends = [part.indices(side) for part, side in zip(parts[1:3], tensor.shape[1:3], strict=True)]
    sides = tuple((start, side - stop) for (start, stop, _), side in zip(ends, tensor.shape[1:3], strict=True))
    return layers.Cropping2D(sides, data_format="channels_last", **settings)


def _pooling(pooling: Callable[..., keras.Layer]) -> Maker:
    def make(operation: Any, tensor: KerasTensor, args: Arguments, settings: dict[str, Any]) -> keras.Layer | None:
        if len(tensor.shape) != 4 or operation.data_format not in (None, "channels_last"):
            return None
        return pooling(
            operation.pool_size, operation.strides, operation.padding, data_format="channels_last", **settings
        )

    return make


def _global_pooling(pooling: Callable[..., keras.Layer]) -> Maker:
    def make(operation: Any, tensor: KerasTensor, args: Arguments, settings: dict[str, Any]) -> keras.Layer | None:
        rank, axes = len(tensor.shape), np.atleast_1d(operation.axis) if operation.axis is not None else np.arange(0)
        if rank != 4 or sorted(axis % rank for axis in axes) != [1, 2] or "float" not in tensor.dtype:
            return None
        if getattr(operation, "initial", None) is not None:
            return None
        return pooling(data_format="channels_last", keepdims=bool(operation.keepdims), **settings)

    return make


def _resize(operation: Any, tensor: KerasTensor, args: Arguments, settings: dict[str, Any]) -> keras.Layer | None:
    """Return the layer for upsampling by whole factors."""
    plain = not (operation.antialias or operation.crop_to_aspect_ratio or operation.pad_to_aspect_ratio)
    sides = tensor.shape[1:3]
    if not plain or len(tensor.shape) != 4 or operation.data_format != "channels_last" or None in sides:
        return None
    if operation.interpolation not in ("nearest", "bilinear") or any(
        new % side for new, side in zip(operation.size, sides, strict=True)
    ):
        return None
    factors = tuple(new // side for new, side in zip(operation.size, sides, strict=True))
    return layers.UpSampling2D(factors, data_format="channels_last", interpolation=operation.interpolation, **settings)


BY_CLASS: dict[str, Maker] = {
    "ReLU": _relu,
    "LeakyRelu": _leaky_relu,
    "Elu": _elu,
    "Gelu": _gelu,
    "Softmax": _softmax,
    "Clip": _clip,
    "Maximum": _maximum,
    "Reshape": _reshape,
    "Pad": _pad,
    "GetItem": _crop,
    "MaxPool": _pooling(layers.MaxPooling2D),
    "AveragePool": _pooling(layers.AveragePooling2D),
    "Mean": _global_pooling(layers.GlobalAveragePooling2D),
    "Max": _global_pooling(layers.GlobalMaxPooling2D),
    "Resize": _resize,
}
"""Operations of one tensor, by class."""
