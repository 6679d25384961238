"""Selection of the layers whose weights are pruned."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

import keras

from ....core.errors import InputError, unknown
from ....core.flat_graph import FlatGraph, Node
from ....core.keras_private import all_layers
from ....core.layer_traits import Kernel, KernelLayout, kernel_layout, traits_of
from ....zoo.flat import flatten_model
from .sparsity import Patterns, Sparsity


class PrunableKernel(NamedTuple):
    """A kernel in which zeros pay, and the layer it belongs to."""

    layer: keras.Layer
    kernel: Kernel

    @property
    def variable(self) -> keras.Variable:
        """The weight."""
        return self.kernel.of(self.layer)

    @property
    def layout(self) -> KernelLayout:
        """What its axes run over."""
        return kernel_layout(self.layer, self.kernel)


def prunable_kernels(model: keras.Model) -> dict[str, PrunableKernel]:
    """Return the kernels of convolutions (except depthwise), dense and recurrent layers that are not frozen, by name.

    They are in order, and named after their layer in the flat form. Those inside a layer that the flat form keeps
    whole, such as attention or a custom layer, are named after both: `attention/query`. The two of a recurrent layer
    are `lstm/lstm_cell/kernel` and `lstm/lstm_cell/recurrent_kernel`.
    """
    return {
        name: kernel
        for whole in flatten_model(model).layers
        for name, kernel in _kernels_within(whole).items()
        if kernel.variable.trainable
    }


def prunable_layers(model: keras.Model) -> dict[str, keras.Layer]:
    """Return the layer of each of `prunable_kernels`."""
    return {name: kernel.layer for name, kernel in prunable_kernels(model).items()}


def _kernels_within(whole: keras.Layer) -> dict[str, PrunableKernel]:
    """Return the prunable kernels of a layer of the flat form or of those hidden in it, by unique name."""
    found = {}
    for name, layer in _parts(whole).items():
        kernels = traits_of(layer).prunable_kernels
        for kernel in kernels:
            found[name if len(kernels) == 1 else f"{name}/{kernel.name}"] = PrunableKernel(layer, kernel)
    return found


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
    kernels = prunable_kernels(model)
    return [kernels[name].variable for name in names]


def layouts_of(model: keras.Model, names: Iterable[str]) -> list[KernelLayout]:
    """Return what the axes of these kernels run over."""
    kernels = prunable_kernels(model)
    return [kernels[name].layout for name in names]


def select_layers(model: keras.Model, sparsity: Sparsity) -> dict[str, float]:
    """Return the names of the kernels to prune, in order, with the target share of zeros of each, 0..1.

    Raises:
        InputError: A pattern matches no layer, no layer remains, or XNNPACK has no sparse inference for the model.
    """
    flat = flatten_model(model)
    prunable = prunable_layers(model)
    names = list(prunable)
    if not names:
        raise InputError(
            f"{model.name} has nothing to prune: no convolution, dense or recurrent layer that is not frozen."
        )
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
    """Return the names of the prunable kernels that a node has, or hides."""
    return set(_kernels_within(node.operation)) if node.is_layer else set()
