"""Name scopes that tell which layer a tensor of a converted graph belongs to.

TensorFlow names tensors by the scope in which they are traced, and numbers scopes of the same name: in Keras' own
scopes, `conv_1` may be a layer of that name or the second trace of `conv`. Here every layer and operation has a scope
of its own, so that `net/conv_1/convolution` is computed by `conv_1` and by nothing else.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property

import keras

from ...core.errors import InputError
from ...core.flat_graph import FlatGraph
from ..tflite_schema.layer_names import layers_of, match_layers


class LayerScopes:
    """The scope of each layer and operation of a model, and the way back.

    Args:
        flat: A functional model without nested models.
    """

    def __init__(self, flat: keras.Model):
        self._flat, root = flat, scope_name(flat.name)
        self._names: dict[str, str] = {}
        """Layers by scope."""
        self._scopes: dict[int, str] = {}
        for operation in flat.operations:
            scope = _unused(scope_name(operation.name), self._names)
            self._names[scope] = operation.name
            self._scopes[id(operation)] = f"{root}/{scope}"

    def path(self, operation: keras.Operation) -> str | None:
        """The scope of a layer or operation, such as `net/conv_1`; None if it is not one of the model's."""
        return self._scopes.get(id(operation))

    def layers_of(self, tensor: str) -> list[str]:
        """Layers and operations that compute the tensor or node with that name, in the order of the name."""
        return [self._names[scope] for scope in layers_of(tensor) if scope in self._names]

    def match(self, patterns: Iterable[str]) -> list[str]:
        """Select the layers and operations whose name matches one of the `patterns`, such as `head_*`.

        Raises:
            InputError: A pattern matches no layer.
        """
        return sorted(match_layers(list(self._names.values()), patterns))

    def locate(self, layers: Iterable[str], tensors: Mapping[str, str]) -> dict[str, set[str]]:
        """The tensors or nodes of a converted graph that each of `layers` computes, without layers that compute none.

        Args:
            layers: Names of layers and operations.
            tensors: Names of tensors or nodes, and for each the names from which its layers can be read.

        Raises:
            InputError: None of `layers` computes anything.
        """
        computed: dict[str, set[str]] = defaultdict(set)
        for tensor, names in tensors.items():
            for layer in self.layers_of(names):
                computed[layer].add(tensor)
        found = {layer: computed.get(layer) or self._folded(layer, computed) for layer in layers}
        located = {layer: tensors for layer, tensors in found.items() if tensors}
        if found and not located:
            raise InputError(
                f"keep_float selects {', '.join(found)}, of which the converter leaves nothing that could stay in "
                "floating point: it has no effect at inference, or is folded into the next layer; select that one."
            )
        return located

    def _folded(self, layer: str, computed: Mapping[str, set[str]]) -> set[str]:
        """The tensors of the operator into which a converter folded a layer with weights, such as a BatchNormalization:
        that of the nearest layer before it that has any."""
        nodes = [node for node in self._graph.nodes if node.name == layer and getattr(node.operation, "weights", ())]
        while nodes and not any(node.name in computed for node in nodes):
            nodes = [before for node in nodes for before in self._graph.predecessors(node)]
        return {tensor for node in nodes for tensor in computed.get(node.name, ())}

    def outputs(self, order: Callable[[keras.Model], Iterable[keras.KerasTensor]]) -> list[str]:
        """The scopes of the layers or operations that compute the outputs.

        Args:
            order: From a model to its outputs, in the order of the result.
        """
        return [self._scopes[id(self._graph.producer(tensor).operation)] for tensor in order(self._graph.model)]

    @cached_property
    def _graph(self) -> FlatGraph:
        return FlatGraph(self._flat)


def scope_name(name: str) -> str:
    """Replace what TensorFlow does not accept in a name, or uses to separate scopes."""
    return re.sub(r"^(?![A-Za-z0-9])", "x", re.sub(r"[^A-Za-z0-9_.-]", "_", name))


def _unused(name: str, used: Collection[str]) -> str:
    candidates = (name, *(f"{name}_{number}" for number in range(2, len(used) + 3)))
    return next(candidate for candidate in candidates if candidate not in used)
