"""Which layers of a model are pruned."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

import keras
from keras import layers

from ....core.errors import InputError, unknown
from ....zoo.flat import flatten_model
from ..nodes import nodes_in_order
from .sparsity import Patterns, Sparsity

KINDS = (layers.Conv2D, layers.Conv2DTranspose, layers.SeparableConv2D, layers.Dense)
"""What TF-MOT prunes too. Depthwise kernels, biases and norms have few weights, and lose much by it."""


def prunable_layers(model: keras.Model) -> list[keras.Layer]:
    """All convolutions (but depthwise) and dense layers of the flat form that are not frozen, in order."""
    return [layer for layer in flatten_model(model).layers if isinstance(layer, KINDS) and kernel_of(layer).trainable]


def kernel_of(layer: keras.Layer) -> keras.Variable:
    """What is pruned of a layer; of a separable convolution that of its 1x1 one."""
    return layer.pointwise_kernel if isinstance(layer, layers.SeparableConv2D) else layer.kernel


def kernels_of(model: keras.Model, names: Iterable[str]) -> list[keras.Variable]:
    """The kernels of the prunable layers of these names."""
    by_name = {layer.name: kernel_of(layer) for layer in prunable_layers(model)}
    return [by_name[name] for name in names]


def select_layers(model: keras.Model, how: Sparsity) -> dict[str, float]:
    """Names of the layers that are pruned, in order, and the share of zeros that each is to have, 0..1.

    Raises:
        InputError: A pattern matches no layer, none is left, or XNNPACK has no sparse inference of such a model.
    """
    flat = flatten_model(model)
    prunable = prunable_layers(model)
    names = [layer.name for layer in prunable]
    for field in ("include", "exclude", "layers"):
        _check_matched(field, getattr(how, field), names)
    if how.policy == "xnnpack":
        from .xnnpack_rules import check_sparse_inference, is_pruned_for_latency

        check_sparse_inference(flat)
        names = [layer.name for layer in prunable if is_pruned_for_latency(layer)]
    dense = _ends(flat) if how.keep_ends else set()
    left = [
        name for name in names if _matches(name, how.include) and not _matches(name, how.exclude) and name not in dense
    ]
    if not left:
        ends = f"; {' and '.join(sorted(dense))} stay dense by keep_ends" if dense else ""
        raise InputError(f"{model.name} has no layer left to prune{ends}.")
    return {name: _target(name, how) for name in left}


def _check_matched(field: str, patterns: Iterable[str], names: Sequence[str]) -> None:
    for pattern in patterns:
        if not _matches_any(pattern, names):
            raise unknown(f"layer in {field}", pattern, names)


def _matches_any(pattern: str, names: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for name in names)


def _matches(name: str, patterns: Patterns) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _target(name: str, how: Sparsity) -> float:
    return next((share for pattern, share in how.layers.items() if fnmatchcase(name, pattern)), how.target)


def _ends(flat: keras.Model) -> set[str]:
    """Names of the layers with kernels that no other feeds, and of those that feed no other."""
    forward = [(node.operation, node.input_tensors, node.outputs) for node in nodes_in_order(flat)]
    backward = [(operation, outputs, inputs) for operation, inputs, outputs in reversed(forward)]
    return _first(forward) | _first(backward)


def _first(steps: Iterable[tuple]) -> set[str]:
    first: set[str] = set()
    behind: set[int] = set()  # identities of the tensors that depend on a layer with a kernel
    for operation, inputs, outputs in steps:
        is_fed = any(id(tensor) in behind for tensor in inputs)
        if isinstance(operation, KINDS) and not is_fed:
            first.add(operation.name)
        if isinstance(operation, KINDS) or is_fed:
            behind.update(map(id, outputs))
    return first
