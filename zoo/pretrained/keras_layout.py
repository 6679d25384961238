"""Keras' published files, in the weight file format of Keras 1 and 2.

Tensors are matched by order: `layer_names` lists the layers in the order of `model.layers`, and the k-th layer with
weights in the file is the k-th in the model. Names are unreliable. In the official files MobileNetV2's first expansion
is `mobl1_conv_1_expand` where its code has `block_1_expand`, VGG's first kernel is `block1_conv1_W_1:0`, and the layers
of Inception have whatever numbers they had in the process that wrote the file.

The zoo's models have their layers at the same depths as Keras', and so in the same order, except in ResNet: at the end
of a block Keras computes shortcut + residual, the zoo residual + shortcut.
"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import zip_longest
from typing import NamedTuple

from ...core.errors import InputError
from .layouts import Pair, abbreviate, bias_shape, following_batch_norms
from .tensor_files import Tensors
from .weighted_layers import Shape, WeightedLayer


def pairs(tensors: Tensors, parts: dict[str, WeightedLayer]) -> list[Pair]:
    """Match every tensor in the file with a weight of the model.

    Raises:
        InputError: The file has other layers than the model, or weights of another shape.
    """
    norms = following_batch_norms(parts)
    matches: list[Pair] = []
    mismatches: list[str] = []
    for theirs, ours in zip_longest(layers_of(tensors), in_keras_order(list(parts))):
        names = theirs or []
        targets = _targets(parts[ours], norms.get(ours), len(names)) if ours else []
        if len(targets) == len(names) and all(
            tensors[name].shape in _allowed_shapes(target) for name, target in zip(names, targets, strict=True)
        ):
            matches += [
                Pair(target.ours, tensors[name].reshape(target.shape), target.absorbed)
                for name, target in zip(names, targets, strict=True)
            ]
        else:
            in_file = ", ".join(f"{name} {tensors[name].shape}" for name in names) or "nothing"
            in_model = ", ".join(f"{target.ours} {target.shape}" for target in targets) or "nothing"
            mismatches.append(f"{in_file} in the file for {in_model} in the model")
    if mismatches:
        raise InputError(f"mismatches are {abbreviate(mismatches, most=3)}.")
    return matches


class _Target(NamedTuple):
    """A weight of the model, with the fields of `Pair`."""

    ours: str
    shape: Shape
    absorbed: bool


def _targets(part: WeightedLayer, norm: str | None, count: int) -> list[_Target]:
    """Return a layer's weights in order, and a bias that BatchNorm absorbs if the file has `count`, one more."""
    targets = [_Target(f"{part.name}/{name}", shape, False) for name, shape in part.shapes.items()]
    if norm and not part.is_norm and count > len(targets):
        targets.append(_Target(f"{norm}/moving_mean", bias_shape(part), True))
    return targets


def _allowed_shapes(target: _Target) -> tuple[Shape, ...]:
    """Return the possible shapes in a file, where a dense layer may be a 1x1 convolution, and vice versa."""
    if len(target.shape) == 2:
        return target.shape, (1, 1, *target.shape)
    return (target.shape, target.shape[2:]) if target.shape[:2] == (1, 1) else (target.shape,)


def in_keras_order(layers: Sequence[str]) -> list[str]:
    """Reorder layers with weights from the order of `flatten_model(model).layers` to that of Keras' files."""

    def partner(layer: str) -> str:
        branch, other = ("_conv3_", "_shortcut_") if "_conv3_" in layer else ("_shortcut_", "_conv3_")
        return layer.replace(branch, other)

    return [partner(layer) if partner(layer) in layers else layer for layer in layers]


def layers_of(tensors: Tensors) -> list[list[str]]:
    """Group the names of a file's tensors by layer; a separable convolution is two layers, as in the zoo."""
    by_layer: dict[str, list[str]] = defaultdict(list)
    for name in tensors:
        by_layer[name.rpartition("/")[0]].append(name)
    layers: list[list[str]] = []
    for names in by_layer.values():
        separable = sum(tensors[name].ndim == 4 for name in names) == 2
        layers += [[name] for name in names] if separable else [names]
    return layers
