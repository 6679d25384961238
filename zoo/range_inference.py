"""The range of pixel values that a model expects, as its first layers show it."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from ..core.errors import InputError
from ..core.flat_graph import FlatGraph, Node
from ..layers import PixelNormalization
from .functional_form import without_optimizer
from .pixel_range import LARGEST_RAW_SCALE, RAW, Range, parse_range
from .signature import images_among, named_inputs

SMALLEST_RAW_SCALE = 1 / 512
"""A model that multiplies its input by less takes more than 8 bits: 0..255 would shrink to a half and less."""
DEEP_BITS = (10, 12, 14, 16)
"""Bits of pixels that a model may scale to 0..1 or -1..1."""
SMALLEST_UNIT_SCALE = 1.5
"""A model that multiplies its input by more takes 0..1: 0..255 would become 0..382 and more."""
SMALLEST_RAW_OFFSET = 8.0
"""A model that subtracts more, such as the mean color of ImageNet, takes 0..255."""
SKIPPED = (keras.layers.ZeroPadding2D, keras.layers.Resizing, keras.layers.CenterCrop, keras.layers.Identity)
"""Layers that leave the range of pixels as it is; so do the random ones of augmentation."""


def pixel_range(model: keras.Model, stated: Any, likely: Any) -> tuple[Range | dict[str, Range], tuple[str, ...], str]:
    """Return the range, by name for several inputs; `("pixels",)` if one is inferred; and why."""
    inputs = named_inputs(model)
    images = images_among(inputs)
    if len(inputs) == 1:
        return _range_of_image(model, next(iter(images.values())), stated, likely)
    for name in stated if isinstance(stated, Mapping) else ():
        if name not in images:
            raise InputError(f"pixels has {name!r}; {model.name} takes images as {', '.join(images)}.")
    found = {
        name: _range_of_image(
            model,
            image,
            stated.get(name) if isinstance(stated, Mapping) else stated,
            likely.get(name) if isinstance(likely, Mapping) else likely,
        )
        for name, image in images.items()
    }
    reasons = dict.fromkeys(reason for _, _, reason in found.values() if reason)
    is_inferred = any(inferred for _, inferred, _ in found.values())
    return {name: limits for name, (limits, _, _) in found.items()}, ("pixels",) * is_inferred, " and ".join(reasons)


def _range_of_image(
    model: keras.Model, image: keras.KerasTensor, stated: Any, likely: Range | None
) -> tuple[Range, tuple[str, ...], str]:
    own = next((layer.pixel_range for layer in model.layers if hasattr(layer, "pixel_range")), None)
    if len(model.inputs) == 1 and own is not None:
        if stated is not None and parse_range(stated) != own:
            low, high = own
            raise InputError(f"pixels is {stated!r}, but {model.name} normalizes pixels of {low:g}..{high:g} itself.")
        return own, (), ""
    if stated is not None:
        return parse_range(stated), (), ""
    seen = infer_range(model, image, likely)
    if seen is None and likely is not None:
        return likely, ("pixels",), "like the images"
    if seen is None:
        return RAW, ("pixels",), "since no layer scales them"
    return seen, (), ""


def infer_range(model: keras.Model, image: keras.KerasTensor, likely: Range | None = None) -> Range | None:
    """Return the range that the first layers of a model show: those that shift and scale an input image.

    Args:
        model: A functional or Sequential model.
        image: One of its inputs.
        likely: Range of the images that it is used with, if it is not 0..255.

    Returns:
        None where no layer scales the image, or not so that its range is evident.

    Raises:
        InputError: It cannot be 0..255, and nothing tells what it is.
    """
    graph = FlatGraph(without_optimizer(model))
    position = next(index for index, tensor in enumerate(model.inputs) if tensor is image)
    stated = _stated_by_layer(graph, graph.inputs[position])
    if stated is not None:
        return stated
    scale, offset = _normalization(graph, graph.inputs[position], np.ones(1), np.zeros(1))
    if (scale == 1).all() and (offset == 0).all():
        return None
    if np.abs(scale).max() < SMALLEST_RAW_SCALE:
        deep = _deep_range(scale, offset)
        if deep is None and likely is None:
            raise InputError(
                f"{model.name} multiplies pixels by {np.abs(scale).max():.2g}, so they have more than 8 bits; state "
                "their range, as in pixels=(0, 4095)."
            )
        return deep
    if np.abs(scale).max() <= LARGEST_RAW_SCALE or np.abs(offset / scale).min() >= SMALLEST_RAW_OFFSET:
        return RAW
    return (0.0, 1.0) if np.abs(scale).min() >= SMALLEST_UNIT_SCALE else None


def _deep_range(scale: np.ndarray, offset: np.ndarray) -> Range | None:
    """Return the range of 10 to 16 bits that is scaled to 0..1 or -1..1; None if there is none."""
    for most in (float(2**bits - 1) for bits in DEEP_BITS):
        if any(np.allclose(offset, low) and np.allclose(most * scale + offset, 1, rtol=1e-3) for low in (0, -1)):
            return 0.0, most
    return None


def _stated_by_layer(graph: FlatGraph, tensor: keras.KerasTensor) -> Range | None:
    """Return the range that a normalization layer states, the first that changes the values of an image."""
    node = graph.only_consumer(tensor)
    if node is None:
        return None
    if (inside := _inside(node, tensor)) is not None:
        return _stated_by_layer(*inside)
    if hasattr(node.operation, "pixel_range"):
        return node.operation.pixel_range
    return _stated_by_layer(graph, node.outputs[0]) if _keeps_values(node.operation) else None


def _inside(node: Node, tensor: keras.KerasTensor) -> tuple[FlatGraph, keras.KerasTensor] | None:
    """Return the graph of a nested model and its input that is `tensor` outside; None where there is no such graph."""
    if not isinstance(node.operation, keras.Model) or not getattr(node.operation, "inputs", None):
        return None  # a subclassed model has no inputs
    nested = FlatGraph(without_optimizer(node.operation))
    return nested, nested.inputs[node.inputs.index(tensor)]


def _normalization(
    graph: FlatGraph, tensor: keras.KerasTensor, scale: np.ndarray, offset: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return `scale` and `offset`, by channel, after all layers that follow `tensor` and only shift and scale it."""
    node = graph.only_consumer(tensor)
    if node is None:
        return scale, offset
    if (inside := _inside(node, tensor)) is not None:
        return _normalization(*inside, scale, offset)
    step = _affine(node)
    if step is None or len(node.outputs) != 1:
        return scale, offset
    factor, shift = (np.asarray(value, "float64").reshape(-1) for value in step)
    return _normalization(graph, node.outputs[0], scale * factor, offset * factor + shift)


def _affine(node: Node) -> tuple[Any, Any] | None:
    """Return factor and shift of a layer or operation that does nothing but multiply and add constants, else None."""
    operation, kind = node.operation, type(node.operation).__name__
    if isinstance(operation, PixelNormalization):
        return tuple(map(keras.ops.convert_to_numpy, operation.scale_and_offset()))
    if isinstance(operation, keras.layers.Rescaling):
        return operation.scale, operation.offset
    if isinstance(operation, keras.layers.Normalization) and operation.mean is not None:
        mean, deviation = (
            keras.ops.convert_to_numpy(value) for value in (operation.mean, keras.ops.sqrt(operation.variance))
        )
        return 1 / np.maximum(deviation, keras.config.epsilon()), -mean / np.maximum(deviation, keras.config.epsilon())
    if _keeps_values(operation):
        return 1.0, 0.0
    constant = _constant_of(node)
    return None if constant is None else _OPERATIONS[kind](constant) if kind in _OPERATIONS else None


def _keeps_values(operation: keras.Operation) -> bool:
    kind = type(operation).__name__
    return isinstance(operation, SKIPPED) or kind.startswith("Random") or kind in ("Cast", "ConvertToTensor")


_OPERATIONS: Mapping[str, Any] = {
    "Add": lambda constant: (1.0, constant),
    "Subtract": lambda constant: (1.0, -constant),
    "Multiply": lambda constant: (constant, 0.0),
    "Divide": lambda constant: (1 / constant, 0.0),
    "TrueDivide": lambda constant: (1 / constant, 0.0),
}
"""Factor and shift of an operation between an image and a constant, by the name of its class."""


def _constant_of(node: Node) -> np.ndarray | None:
    """Return the second argument of an operation with two, if it is a number or one for each channel."""
    if len(node.args) != 2 or len(node.inputs) != 1 or node.inputs[0] is not node.args[0]:
        return None
    values = np.asarray(keras.ops.convert_to_numpy(node.args[1]), "float64")
    return values if values.size in (1, node.inputs[0].shape[-1]) else None
