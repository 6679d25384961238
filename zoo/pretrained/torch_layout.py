"""State dicts of timm and torchvision: PyTorch's tensor names and axis order."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np

from ...core.errors import InputError
from ..cards import ModelCard
from . import timm_names, torchvision_names
from .layouts import Pair, abbreviate, bias_shape, following_batch_norms, is_depthwise
from .tensor_files import Tensors
from .weighted_layers import Shape, WeightedLayer

NAMES = {"timm": timm_names, "torchvision": torchvision_names}
"""Modules with `NAMES`, a function from our layer names to the publisher's for each builder, and `IGNORED_PREFIXES`,
name prefixes of tensors that are not used at inference, such as those of auxiliary heads, for each builder."""

OLD_NAMES = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
"""Names in torchvision's DenseNet files, `norm.1` where the current model has `denselayer1.norm1`."""

VARIABLES = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "bias": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
"""Variable names in PyTorch, by their names in Keras."""


@dataclass(frozen=True)
class Slot:
    """A tensor that a state dict must or may contain for the model."""

    shapes: tuple[Shape, ...]
    """Possible shapes, the usual one first."""
    ours: str
    """Name of the weight, `layer/variable`."""
    convert: Callable[[np.ndarray], np.ndarray] = np.asarray
    """Conversion to Keras' axis order."""
    absorbed: bool = False
    """As in `Pair`."""


def expected_tensors(parts: dict[str, WeightedLayer], layout: str, card: ModelCard) -> dict[str, Slot]:
    """Return the tensors of a state dict by name; those that are `absorbed` may be missing."""
    name_of = NAMES[layout].NAMES[card.builder]
    norms = following_batch_norms(parts)
    slots = (_slots(part, name_of(part.name, card), norms.get(part.name)) for part in parts.values())
    return dict(chain.from_iterable(slots))


def classes_in(tensors: Tensors, layout: str, card: ModelCard) -> int | None:
    """Return the number of classes of the head in a state dict; None if there is no such head."""
    names = NAMES[layout].NAMES
    if card.builder not in names:
        return None
    head = tensors.get(f"{names[card.builder]('head_dense', card)}.weight")
    return head.shape[0] if head is not None and head.size and head.ndim else None


def pairs(tensors: Tensors, parts: dict[str, WeightedLayer], layout: str, card: ModelCard) -> list[Pair]:
    """Match every tensor in the state dict with a weight of the model.

    Raises:
        InputError: Tensors are missing, superfluous, or have another shape; the message lists them.
    """
    if card.builder not in NAMES[layout].NAMES:
        raise InputError(f"{layout} has no {card.name}.")
    ignored = NAMES[layout].IGNORED_PREFIXES.get(card.builder, ())
    tensors = {
        OLD_NAMES.sub(r"\1\2", name): tensor
        for name, tensor in tensors.items()
        if not name.endswith("num_batches_tracked") and not name.startswith(ignored)
    }
    slots = expected_tensors(parts, layout, card)
    missing = [name for name, slot in slots.items() if not slot.absorbed and name not in tensors]
    extra = [name for name in tensors if name not in slots]
    if missing or extra:
        raise InputError(f"missing in the file {abbreviate(missing)}; only in the file {abbreviate(extra)}.")
    different = [
        f"{name} is {tensor.shape}, expected {slots[name].shapes[0]}"
        for name, tensor in tensors.items()
        if tensor.shape not in slots[name].shapes
    ]
    if different:
        raise InputError(f"different shapes {abbreviate(different)}.")
    matches = [(slots[name], tensor) for name, tensor in tensors.items()]
    return [Pair(slot.ours, slot.convert(tensor), slot.absorbed) for slot, tensor in matches]


def _slots(part: WeightedLayer, theirs: str, norm: str | None) -> Iterator[tuple[str, Slot]]:
    for name, shape in part.shapes.items():
        ours = f"{part.name}/{name}"
        if name == "kernel":
            yield f"{theirs}.weight", Slot(_kernel_shapes(part), ours, lambda kernel: _to_keras_axes(part, kernel))
        else:
            yield f"{theirs}.{VARIABLES[name]}", Slot((shape,), ours)
    if norm and "bias" not in part.shapes and not part.is_norm:
        yield f"{theirs}.bias", Slot((bias_shape(part),), f"{norm}/moving_mean", absorbed=True)


def _kernel_shapes(part: WeightedLayer) -> tuple[Shape, ...]:
    shape = part.shapes["kernel"]
    if is_depthwise(part):
        height, width, inputs, multiplier = shape
        return ((inputs * multiplier, 1, height, width),)
    if len(shape) == 4:
        height, width, inputs, outputs = shape
        convolution = (outputs, inputs, height, width)
        return (convolution, (outputs, inputs)) if (height, width) == (1, 1) else (convolution,)
    inputs, outputs = shape
    shapes = (outputs, inputs), (outputs, inputs, 1, 1)
    if part.flattened is None:
        return shapes
    height, width, channels = part.flattened
    return (*shapes, (outputs, channels, height, width))


def _to_keras_axes(part: WeightedLayer, kernel: np.ndarray) -> np.ndarray:
    shape = part.shapes["kernel"]
    if is_depthwise(part):
        return kernel.transpose(2, 3, 0, 1).reshape(shape)
    if part.flattened and kernel.ndim == 2:  # PyTorch flattens channels first
        height, width, channels = part.flattened
        kernel = kernel.reshape(-1, channels, height, width)
    if kernel.ndim == 2:
        kernel = kernel[:, :, None, None]
    return kernel.transpose(2, 3, 1, 0).reshape(shape)
