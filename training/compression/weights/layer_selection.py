"""Selection of the layers whose weights are pruned."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

import keras

from ....core.errors import InputError, unknown
from ....core.flat_graph import FlatGraph, Node
from ....core.keras_private import all_layers
from ....core.layer_traits import KernelLayout, kernel_layout, main_kernel, traits_of
from ....zoo.flat import flatten_model
from .sparsity import Patterns, Sparsity


def prunable_layers(model: keras.Model) -> dict[str, keras.Layer]:
    """Return the convolutions (except depthwise) and dense layers of the flat form that are not frozen, by name.

    They are in order. Those inside a layer that the flat form keeps whole, such as attention or a custom layer, are
    named after both: `attention/query`.
    """
    return {
        name: layer
        for whole in flatten_model(model).layers
        for name, layer in _parts(whole).items()
        if is_prunable(layer) and main_kernel(layer).trainable
    }


def _parts(whole: keras.Layer) -> dict[str, keras.Layer]:
    """Return a layer of the flat form, if it is prunable itself, or else the layers hidden in it, by unique name."""
    if is_prunable(whole):
        return {whole.name: whole}
    parts: dict[str, keras.Layer] = {}
    for part in all_layers(whole):
        name = f"{whole.name}/{part.name}"
        parts[name if name not in parts else f"{name}_{len(parts)}"] = part
    return parts


def is_prunable(operation: keras.Operation) -> bool:
    """Whether weights of such a layer are pruned: as in TF-MOT, not depthwise kernels, biases and normalization."""
    return traits_of(operation).prunable


def kernels_of(model: keras.Model, names: Iterable[str]) -> list[keras.Variable]:
    """Return the kernels of the prunable layers of these names."""
    layers = prunable_layers(model)
    return [main_kernel(layers[name]) for name in names]


def layouts_of(model: keras.Model, names: Iterable[str]) -> list[KernelLayout]:
    """Return what the axes of these kernels run over."""
    layers = prunable_layers(model)
    return [kernel_layout(layers[name]) for name in names]


def select_layers(model: keras.Model, sparsity: Sparsity) -> dict[str, float]:
    """Return the names of the layers to prune, in order, with the target share of zeros of each, 0..1.

    Raises:
        InputError: A pattern matches no layer, no layer remains, or XNNPACK has no sparse inference for the model.
    """
    flat = flatten_model(model)
    prunable = prunable_layers(model)
    names = list(prunable)
    if not names:
        raise InputError(f"{model.name} has nothing to prune: no convolution or dense layer that is not frozen.")
    for field in ("include", "exclude", "layers"):
        _check_matched(field, getattr(sparsity, field), names)
    if sparsity.policy == "xnnpack":
        from .xnnpack_rules import check_sparse_inference, is_pruned_for_latency

        check_sparse_inference(flat)
        names = [name for name, layer in prunable.items() if is_pruned_for_latency(layer)]
    dense = _end_layers(flat) if sparsity.keep_ends else set()
    selected = [
        name
        for name in names
        if _matches(name, sparsity.include) and not _matches(name, sparsity.exclude) and name not in dense
    ]
    if not selected:
        ends = f"; {' and '.join(sorted(dense))} stay dense by keep_ends" if dense else ""
        raise InputError(f"{model.name} has no layer left to prune{ends}.")
    return {name: _target(name, sparsity) for name in selected}


def _check_matched(field: str, patterns: Iterable[str], names: Sequence[str]) -> None:
    for pattern in patterns:
        if not _matches_any(pattern, names):
            raise unknown(f"layer in {field}", pattern, names)


def _matches_any(pattern: str, names: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for name in names)


def _matches(name: str, patterns: Patterns) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _target(name: str, sparsity: Sparsity) -> float:
    return next((share for pattern, share in sparsity.layers.items() if fnmatchcase(name, pattern)), sparsity.target)


def _end_layers(flat: keras.Model) -> set[str]:
    """Return the names of the prunable layers that no other one feeds, and of those that feed no other."""
    graph = FlatGraph(flat)
    prunable = {node: names for node in graph.nodes if (names := _prunable_parts(node))}
    between = graph.descendants(prunable) & graph.ancestors(prunable)
    return {name for node, names in prunable.items() if node not in between for name in names}


def _prunable_parts(node: Node) -> set[str]:
    """Return the names of the prunable layers that a node is, or hides."""
    return {name for name, part in _parts(node.operation).items() if is_prunable(part)} if node.is_layer else set()
