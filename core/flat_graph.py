"""The graph of a functional model: which layers and operations are applied, in which order, to which tensors.

Built on Keras' public API alone: `keras.models.clone_model` applies the same layers once more, to symbolic inputs of
its own, and reports every application. `KerasTensor` compares by identity, so tensors are keys of dictionaries.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
from keras import KerasTensor

Neighbors = Callable[["Node"], Sequence["Node"]]


@dataclass(frozen=True, eq=False)
class Node:
    """One application of a layer, or of an operation of `keras.ops`."""

    operation: Any
    """A `keras.Layer`, or another `keras.Operation`, which has neither weights nor a config."""
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Any
    """A tensor, or a nested structure of tensors."""

    @property
    def name(self) -> str:
        """Name of the layer or operation; nodes that apply the same one share it."""
        return str(self.operation.name)

    @property
    def is_layer(self) -> bool:
        """Whether a layer is applied."""
        return isinstance(self.operation, keras.Layer)

    @cached_property
    def inputs(self) -> tuple[KerasTensor, ...]:
        """The tensors among the arguments, in order."""
        return symbolic_tensors((self.args, self.kwargs))

    @cached_property
    def outputs(self) -> tuple[KerasTensor, ...]:
        """The tensors of `output`, in order."""
        return symbolic_tensors(self.output)

    def apply(
        self, values: Mapping[KerasTensor, Any], operation: Callable[..., Any] | None = None, **kwargs: Any
    ) -> Any:
        """Apply the operation again, to other values than its symbolic inputs.

        Args:
            values: What to use in place of each input tensor: arrays, or tensors of another graph.
            operation: Applied instead of the node's own, to the same arguments.
            kwargs: Keyword arguments that replace those of the node.
        """
        args, own = keras.tree.map_structure(
            lambda leaf: values[leaf] if isinstance(leaf, KerasTensor) else leaf, (self.args, self.kwargs)
        )
        return (operation or self.operation)(*args, **own | kwargs)


class FlatGraph:
    """The nodes of a functional model in topological order, and how tensors connect them.

    Args:
        flat: A functional model. Nested models and composite layers are single nodes: pass the flat form
            (`zoo.flatten_model`) to see inside them. The graph has its own tensors and shares the layers.
    """

    def __init__(self, flat: keras.Model):
        nodes: list[Node] = []

        def record(operation: keras.Operation, *args: Any, **kwargs: Any) -> Any:
            output = operation(*args, **kwargs)
            nodes.append(Node(operation, args, kwargs, output))
            return output

        self.model = retrace(flat, call_function=record)
        """The same layers on the tensors of this graph."""
        self.nodes: tuple[Node, ...] = tuple(nodes)
        """Each after the nodes that compute its inputs."""
        layers = {layer.output: layer for layer in self.model.layers if isinstance(layer, keras.layers.InputLayer)}
        self.input_nodes = tuple(Node(layers[tensor], (), {}, tensor) for tensor in self.inputs)
        """The input layers, in the order of the model's inputs."""
        self._producers = {tensor: node for node in (*self.input_nodes, *nodes) for tensor in node.outputs}
        self._consumers: dict[KerasTensor, list[Node]] = defaultdict(list)
        for node in nodes:
            for tensor in node.inputs:
                self._consumers[tensor].append(node)
        self._applications = Counter(id(node.operation) for node in nodes)

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbolic inputs of the model."""
        return self.model.inputs

    @property
    def model_input(self) -> Any:
        """The only symbolic input, or all in the model's own structure."""
        return self.inputs[0] if len(self.inputs) == 1 else self.model.input

    @property
    def outputs(self) -> list[KerasTensor]:
        """The symbolic outputs of the model; `model.output` has them in the model's own structure."""
        return self.model.outputs

    @property
    def output_nodes(self) -> list[Node]:
        """The nodes that compute the outputs, in their order."""
        return [self._producers[tensor] for tensor in self.outputs]

    def is_output(self, tensor: KerasTensor) -> bool:
        """Whether `tensor` is an output of the model."""
        return any(tensor is output for output in self.outputs)

    def producer(self, tensor: KerasTensor) -> Node:
        """Return the node that computes `tensor`."""
        return self._producers[tensor]

    def consumers(self, tensor: KerasTensor) -> Sequence[Node]:
        """Return the nodes that take `tensor`, in order; one that takes it twice is listed twice."""
        return self._consumers.get(tensor, ())

    def only_consumer(self, tensor: KerasTensor) -> Node | None:
        """Return the node that takes `tensor`, or None if several do or `tensor` is an output of the model."""
        nodes = self.consumers(tensor)
        return nodes[0] if len(nodes) == 1 and not self.is_output(tensor) else None

    def predecessors(self, node: Node) -> Sequence[Node]:
        """Return the nodes that compute the inputs of `node`, one per input; input layers have none."""
        return [self._producers[tensor] for tensor in node.inputs]

    def successors(self, node: Node) -> Sequence[Node]:
        """Return the nodes that take an output of `node`."""
        return [consumer for tensor in node.outputs for consumer in self.consumers(tensor)]

    def applications(self, operation: keras.Operation) -> int:
        """Return how often the model applies a layer or an operation; 0 if it is not part of the model."""
        return self._applications[id(operation)]

    def ancestors(self, nodes: Iterable[Node]) -> set[Node]:
        """Return all nodes on whose outputs any of `nodes` depends."""
        return _reachable(nodes, self.predecessors)

    def descendants(self, nodes: Iterable[Node]) -> set[Node]:
        """Return all nodes that depend on an output of any of `nodes`."""
        return _reachable(nodes, self.successors)

    @staticmethod
    def frontier(start: Iterable[Node], stops: Callable[[Node], bool], neighbors: Neighbors) -> set[Node]:
        """Return the nodes at which the paths from `start` first stop; none if one path ends without a stop.

        Args:
            start: Nodes at which the paths begin; they may be stops themselves.
            stops: Whether a path stops at a node.
            neighbors: `successors` to follow the data, `predecessors` to go against it.
        """
        waiting = list(start)
        seen, found = set(waiting), set[Node]()
        while waiting:
            node = waiting.pop()
            if stops(node):
                found.add(node)
                continue
            following = neighbors(node)
            if not following:
                return set()
            waiting += [neighbor for neighbor in following if neighbor not in seen]
            seen.update(following)
        return found


def retrace(
    model: keras.Model,
    inputs: Any = None,
    *,
    call_function: Callable[..., Any] = lambda operation, *args, **kwargs: operation(*args, **kwargs),
) -> keras.Model:
    """Apply the layers of a functional `model` once more; the weights are shared.

    Args:
        model: A functional model that is not compiled (its optimizer would be copied).
        inputs: Symbolic inputs in the structure of `model.input`, of the same or another size; new ones if None.
        call_function: Called as `call_function(operation, *args, **kwargs)` in topological order; its result takes the
            place of the operation's output.
    """
    return keras.models.clone_model(
        model, input_tensors=inputs, clone_function=lambda layer: layer, call_function=call_function
    )


def symbolic_tensors(nested: Any) -> tuple[KerasTensor, ...]:
    """Return the symbolic tensors of a nested structure, in order."""
    return tuple(leaf for leaf in keras.tree.flatten(nested) if isinstance(leaf, KerasTensor))


def _reachable(nodes: Iterable[Node], neighbors: Neighbors) -> set[Node]:
    waiting, found = list(nodes), set[Node]()
    while waiting:
        further = set(neighbors(waiting.pop())) - found
        found |= further
        waiting += further
    return found
