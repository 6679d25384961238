"""The state dicts of timm and torchvision: PyTorch's names and axes."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np

from ...core.errors import InputError
from ..cards import ModelCard
from . import timm_names, torchvision_names
from .anatomy import Part, Shape
from .layouts import Pair, heirs, is_depthwise, some, width
from .tensor_files import Tensors

NAMES = {"timm": timm_names, "torchvision": torchvision_names}
"""Modules with `NAMES`, by builder a function from our layer's name to the publisher's, and `PASSED_OVER`, by builder
how the names of tensors begin that are no part of what answers, such as those of auxiliary heads."""

OLD_NAMES = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
"""As torchvision's files of DenseNet still spell what its nets call `denselayer1.norm1` today."""

VARIABLES = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "bias": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
"""PyTorch's names by Keras'."""


@dataclass(frozen=True)
class Slot:
    """A tensor that a state dict has, or may have, for our model."""

    shapes: tuple[Shape, ...]
    """That it may have, the usual one first."""
    ours: str
    convert: Callable[[np.ndarray], np.ndarray] = np.asarray
    absorbed: bool = False


def expected_tensors(parts: dict[str, Part], layout: str, card: ModelCard) -> dict[str, Slot]:
    """The tensors of a state dict by name; those that are `absorbed` may be missing."""
    name_of = NAMES[layout].NAMES[card.builder]
    norms = heirs(parts)
    of_parts = (_slots(part, name_of(part.name, card), norms.get(part.name)) for part in parts.values())
    return dict(chain.from_iterable(of_parts))


def classes_in(tensors: Tensors, layout: str, card: ModelCard) -> int | None:
    """Of how many classes the head is that a state dict holds; None where it has no such head."""
    names = NAMES[layout].NAMES
    if card.builder not in names:
        return None
    head = tensors.get(f"{names[card.builder]('head_dense', card)}.weight")
    return None if head is None else head.shape[0]


def pairs(tensors: Tensors, parts: dict[str, Part], layout: str, card: ModelCard) -> list[Pair]:
    """Every tensor of the state dict with the weight of the model that it is.

    Raises:
        InputError: A tensor is missing, left over, or of another shape; all such are listed.
    """
    if card.builder not in NAMES[layout].NAMES:
        raise InputError(f"{layout} has no {card.name}.")
    no_part = NAMES[layout].PASSED_OVER.get(card.builder, ())
    tensors = {
        OLD_NAMES.sub(r"\1\2", name): tensor
        for name, tensor in tensors.items()
        if not name.endswith("num_batches_tracked") and not any(map(name.startswith, no_part))
    }
    slots = expected_tensors(parts, layout, card)
    missing = [name for name, slot in slots.items() if not slot.absorbed and name not in tensors]
    extra = [name for name in tensors if name not in slots]
    if missing or extra:
        raise InputError(f"missing in the file {some(missing)}; in the file only {some(extra)}.")
    other = [
        f"{name} is {tensor.shape}, wanted {slots[name].shapes[0]}"
        for name, tensor in tensors.items()
        if tensor.shape not in slots[name].shapes
    ]
    if other:
        raise InputError(f"of another shape {some(other)}.")
    found = [(slots[name], tensor) for name, tensor in tensors.items()]
    return [Pair(slot.ours, slot.convert(tensor), slot.absorbed) for slot, tensor in found]


def _slots(part: Part, theirs: str, norm: str | None) -> Iterator[tuple[str, Slot]]:
    for name, shape in part.shapes.items():
        ours = f"{part.name}/{name}"
        if name == "kernel":
            yield f"{theirs}.weight", Slot(_kernel_shapes(part), ours, lambda kernel: _on_our_axes(part, kernel))
        else:
            yield f"{theirs}.{VARIABLES[name]}", Slot((shape,), ours)
    if norm and "bias" not in part.shapes and not part.is_norm:
        yield f"{theirs}.bias", Slot((width(part),), f"{norm}/moving_mean", absorbed=True)


def _kernel_shapes(part: Part) -> tuple[Shape, ...]:
    shape = part.shapes["kernel"]
    if is_depthwise(part):
        height, width_, inputs, times = shape
        return ((inputs * times, 1, height, width_),)
    if len(shape) == 4:
        height, width_, inputs, outputs = shape
        convolution = (outputs, inputs, height, width_)
        return (convolution, (outputs, inputs)) if (height, width_) == (1, 1) else (convolution,)
    inputs, outputs = shape
    shapes = (outputs, inputs), (outputs, inputs, 1, 1)
    if part.flattened is None:
        return shapes
    height, width_, channels = part.flattened
    return (*shapes, (outputs, channels, height, width_))


def _on_our_axes(part: Part, kernel: np.ndarray) -> np.ndarray:
    shape = part.shapes["kernel"]
    if is_depthwise(part):
        return kernel.transpose(2, 3, 0, 1).reshape(shape)
    if part.flattened and kernel.ndim == 2:  # PyTorch flattens channels first
        height, width_, channels = part.flattened
        kernel = kernel.reshape(-1, channels, height, width_)
    if kernel.ndim == 2:
        kernel = kernel[:, :, None, None]
    return kernel.transpose(2, 3, 1, 0).reshape(shape)
