"""Keras' own files, in the layout of Keras 1 and 2.

They go by order: `layer_names` lists a model's layers as `model.layers` does, and the k-th layer with weights has those
of the k-th. Names do not tell. In the official files MobileNetV2's first expansion is called `mobl1_conv_1_expand`
where its code says `block_1_expand`, VGG's first kernel `block1_conv1_W_1:0`, and the layers of Inception are numbered
as they came in the process that wrote the file.

Our nets have their layers at the same depths as Keras', and so in the same order, but for ResNet: at the end of a block
Keras adds the residual to the shortcut, and we the shortcut to the residual.
"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import zip_longest
from typing import NamedTuple

from ...core.errors import InputError
from .anatomy import Part, Shape
from .layouts import Pair, heirs, some, width
from .tensor_files import Tensors


def pairs(tensors: Tensors, parts: dict[str, Part]) -> list[Pair]:
    """Every tensor of the file with the weight of the model that it is.

    Raises:
        InputError: The file has other layers than the model, or weights of another shape.
    """
    norms = heirs(parts)
    found, different = [], []
    for theirs, ours in zip_longest(layers_of(tensors), in_their_order(list(parts)), fillvalue=()):
        places = _places(parts[ours], norms.get(ours), len(theirs)) if ours else []
        if len(places) == len(theirs) and all(
            tensors[name].shape in _shapes(place) for name, place in zip(theirs, places, strict=True)
        ):
            found += [
                Pair(place.ours, tensors[name].reshape(place.shape), place.absorbed)
                for name, place in zip(theirs, places, strict=True)
            ]
        else:
            given = ", ".join(f"{name} {tensors[name].shape}" for name in theirs) or "nothing"
            wanted = ", ".join(f"{place.ours} {place.shape}" for place in places) or "nothing"
            different.append(f"{given} in the file for {wanted} of the model")
    if different:
        raise InputError(f"different are {some(different, most=3)}.")
    return found


class _Place(NamedTuple):
    ours: str
    shape: Shape
    absorbed: bool


def _places(part: Part, norm: str | None, given: int) -> list[_Place]:
    """Of a layer's weights in their order, with a bias that a BatchNorm absorbs if the file has one."""
    places = [_Place(f"{part.name}/{name}", shape, False) for name, shape in part.shapes.items()]
    if norm and not part.is_norm and given > len(places):
        places.append(_Place(f"{norm}/moving_mean", width(part), True))
    return places


def _shapes(place: _Place) -> tuple[Shape, ...]:
    """What it may be in a file: a dense layer here may be a 1x1 convolution there, and the other way round."""
    if len(place.shape) == 2:
        return place.shape, (1, 1, *place.shape)
    return (place.shape, place.shape[2:]) if place.shape[:2] == (1, 1) else (place.shape,)


def in_their_order(layers: Sequence[str]) -> list[str]:
    """Our layers with weights, from the order of `flatten_model(model).layers` to that of Keras' files."""

    def partner(layer: str) -> str:
        branch, other = ("_conv3_", "_shortcut_") if "_conv3_" in layer else ("_shortcut_", "_conv3_")
        return layer.replace(branch, other)

    return [partner(layer) if partner(layer) in layers else layer for layer in layers]


def layers_of(tensors: Tensors) -> list[list[str]]:
    """The names of a file's tensors, layer by layer; a separable convolution is two, as with us."""
    by_layer = defaultdict(list)
    for name in tensors:
        by_layer[name.rpartition("/")[0]].append(name)
    layers = []
    for names in by_layer.values():
        separable = sum(tensors[name].ndim == 4 for name in names) == 2
        layers += [[name] for name in names] if separable else [names]
    return layers
